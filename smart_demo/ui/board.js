/* Results of what was judged: asked for when they are looked at and after every judgement. Markup is made and escaped in
   Python; sentences only ever arrive through textContent. */
(() => {
  "use strict";
  const { make, stage } = window.smartDemo;
  const SILENT = "The demo does not answer. Is it still running?";
  const owner = () => window.smartDemo.judge.owner();

  async function ask(server, name, wanted) {
    try { return await server[name](wanted) ?? { sentence: SILENT }; } catch { return { sentence: SILENT }; }
  }

  /* A query of these panels, asked again under Compare: Python sets everything there, the tab is the visitor's click. */
  function reopen(button, trigger) {
    trigger("select", JSON.parse(button.dataset.reopen));
    document.querySelector('#tabs [role="tab"][data-tab-id="compare"]')?.click();
    scrollTo({ top: 0, behavior: "instant" });
  }

  function confirmForget(button, go) {
    const no = make("button", { type: "button", class: "quiet-button" }, "Keep it");
    const yes = make("button", { type: "button", class: "delete-button" }, "Delete");
    const dialog = make("dialog", { class: "confirm", "aria-labelledby": "forget-title" },
      make("h2", { id: "forget-title" }, "Delete this evaluation?"),
      make("p", {}, "All votes, grades and notes, and the list that is judged, are removed from the disk. Download them first if you may want them."),
      make("div", { class: "confirm-tools" }, no, yes));
    no.addEventListener("click", () => dialog.close());
    yes.addEventListener("click", () => { dialog.close(); go(); });
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
    dialog.addEventListener("close", () => { dialog.remove(); if (button.isConnected) button.focus(); });
    stage().append(dialog);
    dialog.showModal();
    no.focus();
  }

  window.smartDemo.judging = { ask, reopen, owner };

  window.smartDemo.boards = (element, server, trigger) => {
    const one = (selector) => element.querySelector(selector);
    let turn = 0, visible = false;

    function fill(name, markup) {
      const place = one(`[data-fill="${name}"]`);
      if (place.dataset.shown === markup) return;
      const open = new Set([...place.querySelectorAll("details[open] > summary")].map((summary) => summary.textContent));
      place.innerHTML = markup;
      place.dataset.shown = markup;
      for (const summary of place.querySelectorAll("details > summary")) summary.parentElement.open = open.has(summary.textContent);
    }

    function trouble(said) {
      one(".boards-trouble").textContent = said;
      one(".boards-trouble").hidden = !said;
    }

    async function look() {
      const mine = ++turn, found = await ask(server, "board", { owner: owner() });
      if (mine !== turn || !element.isConnected) return;
      trouble(found.sentence ?? "");
      one(".boards").setAttribute("aria-busy", "false");
      if (found.sentence) return;
      fill("boards", found.boards);
      fill("single", found.single);
      one(".board-remaining").textContent = found.remaining;
      for (const button of element.querySelectorAll("[data-file], [data-forget]")) button.disabled = !found.single;
    }

    async function save(button) {
      const said = one(".board-file-said");
      said.textContent = "One moment…";
      button.disabled = true;
      const file = await ask(server, "board_file", { owner: owner(), form: button.dataset.file });
      button.disabled = false;
      button.focus();
      if (!file.sentence) {
        const bytes = Uint8Array.from(atob(file.data), (byte) => byte.charCodeAt(0));
        window.smartDemo.save(new Blob([bytes], { type: file.type }), file.name);
      }
      said.textContent = file.sentence ?? `Saved as ${file.name}`;
    }

    async function forget() {
      const done = await ask(server, "board_forget", { owner: owner() });
      document.dispatchEvent(new CustomEvent("judged"));
      one(".board-file-said").textContent = done.sentence ?? done.said;
    }

    element.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (button?.dataset.reopen) reopen(button, trigger);
      else if (button?.dataset.file) save(button);
      else if (button?.dataset.panel) window.smartDemo.judge.show(button.dataset.panel);
      else if (button?.hasAttribute("data-forget")) confirmForget(button, forget);
    });
    /* Working out intervals takes a moment: it is done when somebody looks, and again when that changes meanwhile. */
    new IntersectionObserver((seen) => {
      const before = visible;
      visible = seen.at(-1).isIntersecting;
      if (visible && !before) look();
    }).observe(element);
    document.addEventListener("judged", function heard() {
      if (!element.isConnected) document.removeEventListener("judged", heard);
      else if (visible) look();
    });
  };
})();
