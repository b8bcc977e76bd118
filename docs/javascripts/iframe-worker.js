// Search where the site is opened from the disk: browsers start no worker for a file, so the script of the search runs in a
// hidden frame of the page. The theme looks for this name (material/plugins/offline) and else fetches such a script.
"use strict";
if (location.protocol === "file:") {
  window.IFrameWorker = window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      this.waiting = [];
      const frame = document.createElement("iframe");
      frame.hidden = true;
      frame.title = "search";
      document.body.append(frame);
      this.inner = frame.contentWindow;
      const page = this.inner.document;
      page.open();  // some browsers would otherwise load the empty page once more, over what is put into it
      page.write("<!doctype html><title>search</title><body>");
      page.close();
      this.inner.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
      const script = page.createElement("script");
      script.src = new URL(url, location.href).href;
      script.onload = () => {
        const told = this.waiting;
        this.waiting = null;
        told.forEach((data) => this.postMessage(data));
      };
      page.body.append(script);
    }
    postMessage(data) {
      if (this.waiting) this.waiting.push(data);
      else this.inner.dispatchEvent(new this.inner.MessageEvent("message", { data }));
    }
  };
}
