/* The tab where people judge: who judges, which panel is open, keys, the large view, and asking for a panel's state.
   Markup of panels is made and escaped in Python; what is said of judgements only ever arrives through textContent. */
(() => {
  "use strict";
  const { make, stage, picture, viewer } = window.smartDemo;
  const SILENT = "The demo does not answer. Is it still running?";
  const { owner } = window.smartVisit;

  const show = (panel) => document.querySelector(`#judge-tabs [role="tab"][data-tab-id="judge-${panel}"]`)?.click();

  /* ---- what was kept is said aloud, from a place that no panel replaces; what the panel itself does not show, in print ---- */
  let spoken, printed, until = 0;
  function say(text, inPrint = false) {
    spoken ??= make("p", { class: "judge-said", role: "status" });
    printed ??= make("p", { class: "judge-printed", "aria-hidden": "true" });
    if (!spoken.isConnected) stage().append(spoken, printed);
    spoken.textContent = text;
    if (!inPrint) return;
    printed.textContent = text;
    clearTimeout(until);
    until = setTimeout(() => { printed.textContent = ""; }, 5000);
  }

  /* ---- the large view: a page and nothing that is known of it ---- */
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

  /* ---- keys belong to the panel that is on the screen ---- */
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

  /* ---- a panel: it asks for its state when it is looked at, and after every step ---- */
  window.smartDemo.judge = {
    owner, show, say, blind, picture,

    /* `own` has: name; act, a server function; settle(leaving), called whenever there is a new sheet; key(key). */
    panel(element, watch, trigger, own) {
      let seen = false, leaving = true, asked = "";
      const sheet = () => element.querySelector("[data-ticket]");

      const look = (step = {}) => {
        leaving = true;
        element.toggleAttribute("data-leaving", true);
        trigger("select", { act: "look", owner: owner(), ...step });
      };

      function arrived() {
        leaving = false;
        element.removeAttribute("data-leaving");
        if (element.querySelector("[data-again]")) setTimeout(() => element.checkVisibility() && look(), 2500);
        own.settle();
        begin();
        const place = element.querySelector(".judge-at")?.textContent;
        if (place && sheet()) say(`${place}: ${element.querySelector(".judge-query").textContent}`);
      }

      /* Another query begins at its top. */
      function begin() {
        const head = element.querySelector(".judge-head"), now = element.querySelector(".judge-query")?.textContent ?? "";
        const above = head?.getBoundingClientRect().top ?? 0;
        if (asked && now !== asked && above < 0) scrollTo({ top: scrollY + above - 12, behavior: "instant" });
        asked = now;
      }

      /* A sheet that comes without its thumbnails is given those of the sheet before. */
      function replace(markup) {
        const kept = new Map([...element.querySelectorAll("img.thumb")].map((image) => [image.closest("[data-page]").dataset.page, image]));
        const setup = element.querySelector(".judge-setup")?.open;
        element.querySelector(".judge-panel").innerHTML = markup;
        for (const missing of element.querySelectorAll("svg.thumb.missing")) {
          const image = kept.get(missing.closest("[data-page]").dataset.page);
          if (image) missing.replaceWith(image.cloneNode());
        }
        if (setup) element.querySelector(".judge-setup")?.setAttribute("open", "");
        own.settle();
      }

      function complain(text) {
        const note = element.querySelector(".vote-trouble");
        if (note) { note.textContent = text; note.hidden = !text; }
        if (text && !note) say(text);
      }

      /* One thing is said at a time; what is answered with a sentence was not kept. */
      let saying = false;
      async function tell(what) {
        if (saying || leaving) return;
        saying = true;
        element.toggleAttribute("data-saying", true);
        let answer;
        try { answer = await own.act({ owner: owner(), ticket: sheet()?.dataset.ticket, ...what }); } catch { answer = null; }
        saying = false;
        element.removeAttribute("data-saying");
        if (!answer || (answer.sentence && !answer.look)) { complain(answer?.sentence ?? SILENT); return; }
        complain("");
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
      watch("value", arrived);
      new IntersectionObserver((entries) => {
        const before = seen;
        seen = entries.at(-1).isIntersecting;
        if (seen && !before) look();
      }).observe(element);
      return { look, tell, sheet, ready: () => !leaving && !saying };
    },
  };
})();
