/* The tab Under the hood: fetches costs, code, scores and environment of the answer on the screen. Python makes and escapes
   the markup of costs and environment; code and scores are only set through textContent. */
(() => {
  "use strict";
  const { copy, make, save } = window.smartDemo;
  const address = () => `${location.origin}${location.pathname.replace(/\/?$/, "/").replaceAll("'", "%27")}`;

  /* Return the request of the answer on the screen, or the chosen library if there is no answer. */
  function asked() {
    const fields = document.querySelector(".answer[data-asked]")?.dataset.asked;
    return fields ? JSON.parse(fields) : { scope: document.querySelector("#scope input:checked")?.value };
  }

  function showLabel(button, text) {
    const usual = (button.dataset.usual ??= button.textContent);
    button.textContent = text;
    setTimeout(() => { button.textContent = usual; }, 2400);
  }

  window.smartDemo.hood = (element, server) => {
    const find = (selector) => element.querySelector(selector);
    const texts = new Map();
    let requests = 0, visible = false;

    function fill(name, markup) {
      if (texts.get(name) === markup) return;
      texts.set(name, markup);
      find(`[data-fill="${name}"]`).innerHTML = markup;
    }

    function setCode(name, pieces) {
      const text = pieces.map((piece) => piece ?? address()).join("");
      texts.set(name, text);
      for (const place of element.querySelectorAll(`[data-code="${name}"]`)) place.textContent = text;
    }

    function list(name, sentences) {
      const items = sentences.map((sentence) => { const item = make("li"); item.textContent = sentence; return item; });
      find(`[data-notes="${name}"]`).replaceChildren(...items);
    }

    function showError(text) {
      const note = find(".hood-trouble");
      note.textContent = text;
      note.hidden = !text;
    }

    function program(found) {
      for (const [part, there] of [["code", found.python], ["scores", found.scores]]) {
        const body = find(`.hood-body.is-${part}`);
        body.classList.toggle("is-unasked", !there);
        body.querySelector(".hood-unasked").textContent = there ? "" : found.sentence;
      }
      if (found.scores) setCode("scores", [found.scores]);
      if (!found.python) return;
      for (const name of ["python", "curl", "shell"]) setCode(name, found[name]);
      for (const name of ["differences", "shell_differences"]) list(name, found[name]);
    }

    async function refresh() {
      const request = ++requests;
      let found;
      try { found = await server.hood(asked()); } catch { found = null; }
      if (request !== requests) return;
      find(".hood").setAttribute("aria-busy", "false");
      showError(found ? found.sentence ?? "" : "The figures could not be fetched. Is the demo still running?");
      if (!found || found.sentence) return;
      fill("costs", found.costs);
      fill("environment", found.environment);
      program(found.program);
    }

    setCode("mcp", [null, "gradio_api/mcp/"]);
    element.addEventListener("click", (event) => {
      const button = event.target.closest("[data-copy], [data-download]");
      const text = button && texts.get(button.dataset.copy ?? button.dataset.download);
      if (!text) return;
      if (button.dataset.copy) copy(text, button).then((copied) => showLabel(button, copied ? "Copied" : "Select and copy the text"));
      else save(new Blob([text], { type: "application/json" }), "smart-scores.json");
    });
    /* Fetched only while the tab is visible: when it is opened, and when the answer on the screen changes. */
    new IntersectionObserver((seen) => {
      const before = visible;
      visible = seen.at(-1).isIntersecting;
      if (visible && !before) refresh();
    }).observe(element);
    document.addEventListener("answered", () => visible && element.isConnected && refresh());
  };
})();
