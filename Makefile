# Each target calls a short script in scripts/; read those.
.PHONY: demo test check build bench screenshots clean

demo:  ## serve real cells and open the viewer
	scripts/demo
test:  ## set everything up and run every test, the real browser included
	scripts/test
check:  ## the inner loop: formatters, types, layers, quick unit tests, what changed
	scripts/check
build:  ## build the viewer into the checkout
	scripts/build
bench:  ## measure beside the peers
	scripts/bench
screenshots:  ## make the pictures of the README anew
	scripts/screenshots
clean:  ## remove what the other targets made
	rm -rf .venv .venv-* .cache dist viewer/node_modules src/coverslip/_viewer
