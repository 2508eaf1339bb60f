// Says on the Webcam tab why there is no camera: a browser that refuses one tells the page's scripts alone.
(() => {
  const REASONS = { NotAllowedError: "denied", SecurityError: "denied", NotFoundError: "missing", OverconstrainedError: "missing" };
  const show = (reason) => {
    for (const sentence of document.querySelectorAll("#webcam-refused [data-reason]")) {
      sentence.hidden = sentence.dataset.reason !== reason;
    }
  };
  const devices = navigator.mediaDevices;
  if (devices && devices.getUserMedia) {
    const ask = devices.getUserMedia.bind(devices);
    devices.getUserMedia = async (wanted) => {
      try {
        const stream = await ask(wanted);
        show("");
        return stream;
      } catch (error) {
        show(REASONS[error.name] || "failed");
        throw error;
      }
    };
  } else {
    // The tab is laid out when it is first opened, after this has run.
    new MutationObserver(() => show("insecure")).observe(document, { childList: true, subtree: true });
  }
})();
