/** Asks a person for the token. */

import { type FormEvent, useEffect, useRef, useState } from "react";
import { unlock, useSession } from "../state/session";
import "./unlock.css";

const WHY = {
  open: "",
  missing: "",
  wrong: "The token in the link is not this server's, or no longer.",
  ended:
    "The server no longer knows this page: the link that opened it has ended, or the server has another token now.",
};

/** In place of every page while the server is locked; over the page when that happened while it was in use. */
export function Unlock() {
  const { lock, entering, error } = useSession();
  const [text, setText] = useState("");
  const [shown, setShown] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (!dialog.current?.open) dialog.current?.showModal();
    if (entering === null) input.current?.focus();
  }, [entering]);

  function submit(event: FormEvent): void {
    event.preventDefault();
    if (entering === null) void unlock(text, "form");
  }

  return (
    <dialog
      ref={dialog}
      className="unlock"
      onCancel={(event) => event.preventDefault()}
      onClose={() => dialog.current?.showModal()}
      aria-labelledby="unlock-title"
      data-testid="unlock"
      data-why={lock}
    >
      <form onSubmit={submit}>
        <strong className="brand">coverslip</strong>
        <h1 id="unlock-title">This server asks for a token</h1>
        <p>{WHY[lock]} Open the whole URL that the server printed when it was started, or paste the token here.</p>
        <label htmlFor="token">Token</label>
        <div className="token">
          <input
            id="token"
            ref={input}
            data-testid="token"
            type={shown ? "text" : "password"}
            value={text}
            onChange={(event) => setText(event.target.value)}
            autoComplete="off"
            autoCapitalize="none"
            spellCheck={false}
            aria-invalid={error !== null}
            {...(error ? { "aria-describedby": "unlock-error" } : {})}
          />
          <button
            type="button"
            data-testid="show-token"
            aria-pressed={shown}
            aria-label="Show the token"
            onClick={() => setShown(!shown)}
          >
            {shown ? "Hide" : "Show"}
          </button>
        </div>
        <p className="problem" id="unlock-error" role="alert" data-testid="unlock-error" data-code={error?.code ?? ""}>
          {error ? <Problem code={error.code} message={error.message} hint={error.hint} /> : null}
        </p>
        <button
          type="submit"
          className="primary"
          data-testid="unlock-submit"
          disabled={entering !== null || text.trim() === ""}
        >
          {entering !== null ? "Asking the server…" : "Unlock"}
        </button>
      </form>
    </dialog>
  );
}

function Problem({ code, message, hint }: { code: string; message: string; hint: string }) {
  if (code === "token_needed")
    return <>That is not the token of this server. Look it up where the server was started.</>;
  return (
    <>
      {message}. {hint}
    </>
  );
}
