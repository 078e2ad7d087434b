// Browsers start no Worker from file://, and the search of this site is one. Where the pages are opened from a folder, its
// script runs in a hidden frame instead, which takes and gives messages as a Worker does.
if (location.protocol === "file:") {
  window.IFrameWorker = class extends EventTarget {
    constructor(url) {
      super();
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      this.frame.answer = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
      this.loaded = new Promise((resolve) => this.frame.addEventListener("load", resolve, { once: true }));
      this.frame.srcdoc =
        "<script>window.postMessage = (data) => frameElement.answer(data);</script>" +
        `<script src="${new URL(url, location)}"></script>`;
      document.body.append(this.frame);
    }

    async postMessage(data) {
      await this.loaded;
      const scope = this.frame.contentWindow;
      scope.dispatchEvent(new scope.MessageEvent("message", { data }));
    }
  };
  window.Worker = window.IFrameWorker;
}
