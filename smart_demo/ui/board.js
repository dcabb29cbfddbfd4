/* The Results panel: fetches the scoreboards when the panel is visible and after every judgement, and exports or deletes
   the evaluation. Python makes and escapes the markup; sentences are only set through textContent. */
(() => {
  "use strict";
  const { make, stage } = window.smartDemo;
  const SILENT = "The demo does not answer. Is it still running?";

  async function ask(server, name, request) {
    try { return await server[name](request) ?? { sentence: SILENT }; } catch { return { sentence: SILENT }; }
  }

  /* Search for a judged query again in Compare: Python sets the query and the weights, and a click opens the tab. */
  function reopen(button, trigger) {
    trigger("select", JSON.parse(button.dataset.reopen));
    document.querySelector('#tabs [role="tab"][data-tab-id="compare"]')?.click();
    scrollTo({ top: 0, behavior: "instant" });
  }

  function confirmDelete(button, onConfirm) {
    const keep = make("button", { type: "button", class: "quiet-button" }, "Keep it");
    const remove = make("button", { type: "button", class: "delete-button" }, "Delete");
    const dialog = make("dialog", { class: "confirm", "aria-labelledby": "forget-title" },
      make("h2", { id: "forget-title" }, "Delete this evaluation?"),
      make("p", {}, "All votes, grades and notes, and the list of queries, are removed from the disk. Download them first if you may need them."),
      make("div", { class: "confirm-tools" }, keep, remove));
    keep.addEventListener("click", () => dialog.close());
    remove.addEventListener("click", () => { dialog.close(); onConfirm(); });
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
    dialog.addEventListener("close", () => { dialog.remove(); if (button.isConnected) button.focus(); });
    stage().append(dialog);
    dialog.showModal();
    keep.focus();
  }

  window.smartDemo.judging = { ask, reopen };

  window.smartDemo.boards = (element, server, trigger) => {
    const find = (selector) => element.querySelector(selector);
    let requests = 0, visible = false;

    function fill(name, markup) {
      const place = find(`[data-fill="${name}"]`);
      if (place.dataset.shown === markup) return;
      const open = new Set([...place.querySelectorAll("details[open] > summary")].map((summary) => summary.textContent));
      place.innerHTML = markup;
      place.dataset.shown = markup;
      for (const summary of place.querySelectorAll("details > summary")) summary.parentElement.open = open.has(summary.textContent);
    }

    function showError(text) {
      find(".boards-trouble").textContent = text;
      find(".boards-trouble").hidden = !text;
    }

    async function refresh() {
      const request = ++requests, found = await ask(server, "board", {});
      if (request !== requests || !element.isConnected) return;
      showError(found.sentence ?? "");
      find(".boards").setAttribute("aria-busy", "false");
      if (found.sentence) return;
      fill("boards", found.boards);
      fill("single", found.single);
      find(".board-remaining").textContent = found.remaining;
      for (const button of element.querySelectorAll("[data-file], [data-forget]")) button.disabled = !found.single;
    }

    async function save(button) {
      const status = find(".board-file-said");
      status.textContent = "Saving…";
      button.disabled = true;
      const file = await ask(server, "board_file", { form: button.dataset.file });
      button.disabled = false;
      button.focus();
      if (!file.sentence) {
        const bytes = Uint8Array.from(atob(file.data), (byte) => byte.charCodeAt(0));
        window.smartDemo.save(new Blob([bytes], { type: file.type }), file.name);
      }
      status.textContent = file.sentence ?? `Saved as ${file.name}`;
    }

    async function deleteEvaluation() {
      const done = await ask(server, "board_forget", {});
      document.dispatchEvent(new CustomEvent("judged"));
      find(".board-file-said").textContent = done.sentence ?? done.said;
    }

    element.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (button?.dataset.reopen) reopen(button, trigger);
      else if (button?.dataset.file) save(button);
      else if (button?.dataset.panel) window.smartDemo.judge.show(button.dataset.panel);
      else if (button?.hasAttribute("data-forget")) confirmDelete(button, deleteEvaluation);
    });
    /* Computing the intervals takes a moment, so the boards are fetched only while the panel is visible. */
    new IntersectionObserver((seen) => {
      const before = visible;
      visible = seen.at(-1).isIntersecting;
      if (visible && !before) refresh();
    }).observe(element);
    document.addEventListener("judged", function onJudged() {
      if (!element.isConnected) document.removeEventListener("judged", onJudged);
      else if (visible) refresh();
    });
  };
})();
