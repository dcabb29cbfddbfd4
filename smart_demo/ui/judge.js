/* The Judge tab: what its panels share, that is their keys, the large view, and requests for a new sheet. Python makes and
   escapes the markup of panels; status messages are only set through textContent. */
(() => {
  "use strict";
  const { make, stage, picture, viewer } = window.smartDemo;
  const SILENT = "The demo does not answer. Is it still running?";

  const show = (panel) => document.querySelector(`#judge-tabs [role="tab"][data-tab-id="judge-${panel}"]`)?.click();

  /* ---- status messages: announced to screen readers by an element that no panel replaces, and printed on request ---- */
  let spoken, printed, timer = 0;
  function say(text, inPrint = false) {
    spoken ??= make("p", { class: "judge-said", role: "status" });
    printed ??= make("p", { class: "judge-printed", "aria-hidden": "true" });
    if (!spoken.isConnected) stage().append(spoken, printed);
    spoken.textContent = text;
    if (!inPrint) return;
    printed.textContent = text;
    clearTimeout(timer);
    timer = setTimeout(() => { printed.textContent = ""; }, 5000);
  }

  /* ---- the large view: the page alone, without ranks or scores ---- */
  const blind = Object.assign(Object.create(viewer), {
    dialog: null, cards: [], pointers: new Map(),
    build() {
      if (this.dialog) return;
      this.frame();
      this.side.remove();
      this.dialog.classList.add("is-blind");
      for (const [name, label] of [["previous", "Previous page"], ["next", "Next page"]]) {
        const button = this.dialog.querySelector(`[data-do="${name}"]`);
        button.setAttribute("aria-label", label);
        button.title = label;
      }
    },
    tell() {},
    open(cards, card, server) {
      this.build();
      this.server = server;
      this.cards = cards;
      document.documentElement.classList.add("is-viewing");
      if (!this.dialog.open) this.dialog.showModal();
      this.show(Math.max(cards.indexOf(card), 0));
      this.stage.focus();
    },
    show(at) {
      const card = this.cards[at];
      if (!card) return;
      this.at = at;
      const side = card.dataset.side?.toUpperCase();
      const page = [".leaf-name", ".leaf-page"].map((part) => card.querySelector(part).textContent).join(", ");
      const column = side ? this.cards.filter((one) => one.dataset.side === card.dataset.side) : this.cards;
      const place = `${column.indexOf(card) + 1} of ${column.length}`;
      this.title.textContent = `${side ? `Column ${side} · ` : ""}${place} · ${page}`;
      this.stage.setAttribute("aria-label", page);
      this.dialog.querySelector('[data-do="previous"]').disabled = at === 0;
      this.dialog.querySelector('[data-do="next"]').disabled = at === this.cards.length - 1;
      this.zoom(1);
      this.load(card);
    },
  });

  /* ---- keys go to the visible panel ---- */
  const panels = new Map();
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || document.querySelector("dialog[open]")) return;
    if (event.target.closest?.("input, textarea, select, [contenteditable]")) return;
    for (const panel of panels.values()) {
      if (!panel.element.isConnected || !panel.element.checkVisibility()) continue;
      if (panel.key(event.key)) event.preventDefault();
      return;
    }
  });

  /* ---- a panel fetches its sheet when it becomes visible and after every step ---- */
  window.smartDemo.judge = {
    show, say, blind, picture,

    /* `own` has: name; act(step), which calls the server; settle(), called for every new sheet; click(button); key(key). */
    panel(element, watch, trigger, own) {
      let visible = false, leaving = true, shownQuery = "";
      const sheet = () => element.querySelector("[data-ticket]");

      const look = (step = {}) => {
        leaving = true;
        element.toggleAttribute("data-leaving", true);
        trigger("select", { act: "look", ...step });
      };

      function onSheet() {
        leaving = false;
        element.removeAttribute("data-leaving");
        if (element.querySelector("[data-again]")) setTimeout(() => element.checkVisibility() && look(), 2500);
        own.settle();
        scrollToNewQuery();
        const place = element.querySelector(".judge-at")?.textContent;
        if (place && sheet()) say(`${place}: ${element.querySelector(".judge-query").textContent}`);
      }

      /* Scroll to the top of the panel if the sheet shows another query. */
      function scrollToNewQuery() {
        const head = element.querySelector(".judge-head"), now = element.querySelector(".judge-query")?.textContent ?? "";
        const above = head?.getBoundingClientRect().top ?? 0;
        if (shownQuery && now !== shownQuery && above < 0) scrollTo({ top: scrollY + above - 12, behavior: "instant" });
        shownQuery = now;
      }

      /* The server leaves out thumbnails that the last sheet had, so they are copied from it. */
      function replace(markup) {
        const thumbs = new Map([...element.querySelectorAll("img.thumb")].map((image) => [image.closest("[data-page]").dataset.page, image]));
        const setup = element.querySelector(".judge-setup")?.open;
        element.querySelector(".judge-panel").innerHTML = markup;
        for (const missing of element.querySelectorAll("svg.thumb.missing")) {
          const image = thumbs.get(missing.closest("[data-page]").dataset.page);
          if (image) missing.replaceWith(image.cloneNode());
        }
        if (setup) element.querySelector(".judge-setup")?.setAttribute("open", "");
        own.settle();
      }

      function showError(text) {
        const note = element.querySelector(".vote-trouble");
        if (note) { note.textContent = text; note.hidden = !text; }
        if (text && !note) say(text);
      }

      /* Send one judgement at a time. An answer with a sentence means that it was not saved. */
      let sending = false;
      async function tell(what) {
        if (sending || leaving) return;
        sending = true;
        element.toggleAttribute("data-saying", true);
        let answer;
        try { answer = await own.act({ ticket: sheet()?.dataset.ticket, ...what }); } catch { answer = null; }
        sending = false;
        element.removeAttribute("data-saying");
        if (!answer || (answer.sentence && !answer.look)) { showError(answer?.sentence ?? SILENT); return; }
        showError("");
        say(answer.sentence ?? answer.said, Boolean(answer.sentence) || what.act === "undo");
        if (answer.sheet) replace(answer.sheet);
        else look("go" in answer ? { act: "go", at: answer.go } : {});
        if (!answer.sentence) document.dispatchEvent(new CustomEvent("judged"));
      }

      element.addEventListener("click", (event) => {
        const button = event.target.closest("button");
        if (!button || button.disabled) return;
        const { go, show: panel, scope } = button.dataset;
        if (go !== undefined) look({ act: "go", at: Number(go) });
        else if (panel) show(panel);
        else if (scope) look({ act: "scope", scope });
        else if ("start" in button.dataset) look({ act: "start" });
        else if ("take" in button.dataset) look({ act: "take" });
        else if ("look" in button.dataset) look();
        else if ("undo" in button.dataset) tell({ act: "undo" });
        else own.click(button);
      });
      element.addEventListener("submit", (event) => {
        event.preventDefault();
        const query = event.target.elements.query.value.trim();
        if (query) look({ act: "ask", query });
      });
      panels.set(own.name, { element, key: (key) => own.key(key) });
      watch("value", onSheet);
      new IntersectionObserver((entries) => {
        const before = visible;
        visible = entries.at(-1).isIntersecting;
        if (visible && !before) look();
      }).observe(element);
      return { look, tell, sheet, ready: () => !leaving && !sending };
    },
  };
})();
