// The frame of coverslip's viewer in a notebook's page. It asks the kernel where the viewer is, looks which way leads
// there from this browser, and shows it. All else goes between the viewer and its server.

const PATIENCE_MS = 8000;
const WAITING = "Waiting for the kernel. If it has ended, run the cell again.";
const ENDED = "This view has ended with its kernel or its cell. Run the cell again to see it.";
const NO_WAY =
  "The viewer runs in the kernel and this browser cannot reach it. Install jupyter-server-proxy where Jupyter runs " +
  "(pip install jupyter-server-proxy, then restart Jupyter), or set CELLUCID_CLIENT_SERVER_URL to the address under " +
  "which the port {port} is reached.";
const NO_ORIGIN =
  "This editor shows notebooks in pages without an address, which cannot hold the viewer. Open view.viewer_url in a " +
  "browser; Python hears of it all the same.";
const LOOPBACK = ["localhost", "127.0.0.1"];

/** Where Jupyter's own addresses begin. */
function baseUrl() {
  const told = document.getElementById("jupyter-config-data")?.textContent;
  try {
    const { baseUrl: base } = JSON.parse(told ?? "{}");
    if (typeof base === "string") return new URL(base, location.href).href.replace(/\/*$/, "/");
  } catch {
    // Not JupyterLab's page.
  }
  const base = document.body?.dataset.baseUrl;
  if (base) return new URL(base, location.href).href.replace(/\/*$/, "/");
  return new URL(location.pathname.replace(/\/(lab|tree|notebooks|doc|consoles|nbclassic|voila)(\/.*)?$/, "/"), location.href).href;
}

/** Addresses that may lead to the server, best first. */
function ways({ addresses, port }) {
  if (addresses.length > 0) return addresses;
  // The name of the page's own host: browsers send cookies of one loopback name to that name only.
  const direct = LOOPBACK.includes(location.hostname) && location.protocol === "http:";
  const proxied = `${baseUrl()}proxy/${port}/`;
  return direct ? [`http://${location.hostname}:${port}/`, proxied] : [proxied];
}

/** Whether an address leads to this server and no other; it lets this page show the viewer then. */
async function leads(address, { instance, knock }) {
  try {
    const url = `${address}api/instance?knock=${knock}`;
    const answer = await fetch(url, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
    return answer.ok && (await answer.json()).instance === instance;
  } catch {
    return false;
  }
}

export default {
  render({ model, el }) {
    const height = `${model.get("height")}px`;
    let opening = false;
    const say = (words, tall = false) => {
      const line = document.createElement("p");
      line.textContent = words;
      line.dataset.coverslip = "words";
      line.style.cssText = `margin:0;padding:1rem;box-sizing:border-box;font-family:sans-serif;min-height:${tall ? height : 0}`;
      el.replaceChildren(line);
    };
    say("Opening the viewer…", true);
    const late = setTimeout(() => say(WAITING), PATIENCE_MS);

    async function open(way) {
      clearTimeout(late);
      if (!/^https?:/.test(location.origin)) return say(NO_ORIGIN);
      for (const address of ways(way)) {
        if (!(await leads(address, way))) continue;
        const frame = document.createElement("iframe");
        frame.src = `${address}#token=${way.token}`;
        frame.title = "coverslip";
        frame.dataset.coverslip = "view";
        frame.allow = "fullscreen; clipboard-write";
        frame.style.cssText = `width:100%;height:${height};border:0;display:block`;
        el.replaceChildren(frame);
        return;
      }
      opening = false;
      say(NO_WAY.replace("{port}", String(way.port)));
    }

    function heard(message) {
      if (message?.kind === "open" && !opening) {
        opening = true;
        void open(message);
      }
      if (message?.kind === "closed") {
        clearTimeout(late);
        opening = false;
        say(message.why ?? ENDED);
      }
    }
    model.on("msg:custom", heard);
    model.send({ kind: "open" });
    return () => {
      clearTimeout(late);
      model.off("msg:custom", heard);
    };
  },
};
