/* Under the hood: costs, code, scores and surroundings of the answer on the screen. Costs and surroundings are markup
   made and escaped in Python; code and scores only ever arrive through textContent. */
(() => {
  "use strict";
  const { copy, make, save } = window.smartDemo;
  const address = () => `${location.origin}${location.pathname.replace(/\/?$/, "/").replaceAll("'", "%27")}`;

  /* What the answer on the screen was asked with; without an answer, the library that is chosen. */
  function asked() {
    const kept = document.querySelector(".answer[data-asked]")?.dataset.asked;
    return kept ? JSON.parse(kept) : { scope: document.querySelector("#scope input:checked")?.value };
  }

  function say(button, said) {
    const usual = (button.dataset.usual ??= button.textContent);
    button.textContent = said;
    setTimeout(() => { button.textContent = usual; }, 2400);
  }

  window.smartDemo.hood = (element, server) => {
    const one = (selector) => element.querySelector(selector);
    const texts = new Map();
    let turn = 0, visible = false;

    function fill(name, markup) {
      if (texts.get(name) === markup) return;
      texts.set(name, markup);
      one(`[data-fill="${name}"]`).innerHTML = markup;
    }

    function write(name, pieces) {
      const text = pieces.map((piece) => piece ?? address()).join("");
      texts.set(name, text);
      for (const place of element.querySelectorAll(`[data-code="${name}"]`)) place.textContent = text;
    }

    function list(name, sentences) {
      const items = sentences.map((sentence) => { const item = make("li"); item.textContent = sentence; return item; });
      one(`[data-notes="${name}"]`).replaceChildren(...items);
    }

    function trouble(said) {
      const note = one(".hood-trouble");
      note.textContent = said;
      note.hidden = !said;
    }

    function program(found) {
      for (const [part, there] of [["code", found.python], ["scores", found.scores]]) {
        const body = one(`.hood-body.is-${part}`);
        body.classList.toggle("is-unasked", !there);
        body.querySelector(".hood-unasked").textContent = there ? "" : found.sentence;
      }
      if (found.scores) write("scores", [found.scores]);
      if (!found.python) return;
      for (const name of ["python", "curl", "shell"]) write(name, found[name]);
      for (const name of ["differences", "shell_differences"]) list(name, found[name]);
    }

    async function look() {
      const mine = ++turn;
      let found;
      try { found = await server.hood(asked()); } catch { found = null; }
      if (mine !== turn) return;
      one(".hood").setAttribute("aria-busy", "false");
      trouble(found ? found.sentence ?? "" : "This could not be fetched. Is the demo still running?");
      if (!found || found.sentence) return;
      fill("costs", found.costs);
      fill("environment", found.environment);
      program(found.program);
    }

    write("mcp", [null, "gradio_api/mcp/"]);
    element.addEventListener("click", (event) => {
      const button = event.target.closest("[data-copy], [data-download]");
      const text = button && texts.get(button.dataset.copy ?? button.dataset.download);
      if (!text) return;
      if (button.dataset.copy) copy(text, button).then((copied) => say(button, copied ? "Copied" : "Select it by hand"));
      else save(new Blob([text], { type: "application/json" }), "smart-scores.json");
    });
    /* Asked for when it is looked at, and again when the answer behind it changes meanwhile. */
    new IntersectionObserver((seen) => {
      const before = visible;
      visible = seen.at(-1).isIntersecting;
      if (visible && !before) look();
    }).observe(element);
    document.addEventListener("answered", () => visible && element.isConnected && look());
  };
})();
