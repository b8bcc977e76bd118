// node site_search.cjs SITE QUERY: asks the site's search as a page opened from the disk does, and prints the addresses found.
// The DOM is a stand-in: a frame is a context of its own, a script put into it is read from the disk and run there.
"use strict";
const { readFileSync, readdirSync } = require("node:fs");
const { join } = require("node:path");
const { fileURLToPath, pathToFileURL } = require("node:url");
const vm = require("node:vm");

const [site, query] = process.argv.slice(2);
const workers = "assets/javascripts/workers";
const listeners = [];

function frame() {
  const scripts = [];
  const page = {
    open() {}, write() {}, close() {},
    createElement: () => ({}),
    querySelector: () => scripts[0],
    body: { append(script) {
      scripts.push(script);
      setImmediate(() => { vm.runInContext(readFileSync(fileURLToPath(script.src), "utf8"), inner); script.onload(); });
    } },
  };
  const inner = vm.createContext({ document: page, console, MessageEvent, URL, parent: outer });
  inner.self = inner.window = inner;
  inner.addEventListener = (kind, act) => { if (kind === "message") listeners.push(act); };
  inner.dispatchEvent = (event) => listeners.forEach((act) => act(event));
  return { contentWindow: inner };
}

const outer = vm.createContext({
  location: { protocol: "file:", href: pathToFileURL(join(site, "index.html")).href },
  document: { createElement: frame, body: { append() {} } }, EventTarget, MessageEvent, URL, console,
});
outer.window = outer;
vm.runInContext(readFileSync(join(site, "javascripts/iframe-worker.js"), "utf8"), outer);
vm.runInContext(readFileSync(join(site, "search/search_index.js"), "utf8"), outer);  // var __index
const name = readdirSync(join(site, workers)).find((one) => /^search\..*\.js$/.test(one));
const worker = vm.runInContext(`new Worker("${workers}/${name}")`, outer);
const index = vm.runInContext("__index", outer);
worker.addEventListener("message", ({ data }) => {
  if (data.type === 1) worker.postMessage({ type: 2, data: query });
  if (data.type === 3) console.log(JSON.stringify(data.data.items.flat().map((item) => item.location)));
});
worker.postMessage({ type: 0, data: { config: index.config, docs: index.docs, options: { suggest: false } } });
