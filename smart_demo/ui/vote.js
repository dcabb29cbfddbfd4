/* The blind comparison: keys, reasons and a note become a vote, which stands once the server has kept it. */
(() => {
  "use strict";
  const judge = window.smartDemo.judge;
  const CHOICES = { 1: "a", 2: "b", 3: "tie", 4: "bad" };

  judge.vote = (element, server, watch, trigger) => {
    const one = (selector) => element.querySelector(selector), all = (selector) => [...element.querySelectorAll(selector)];
    /* What is written but not yet said stays while people look elsewhere. */
    const draft = { query: "", reasons: [], note: "" };
    const query = () => one(".judge-query")?.textContent ?? "";
    const told = () => Boolean(one(".is-told"));

    function reasons() {
      return all("[data-reason][aria-pressed=true]").map((chip) => chip.dataset.reason);
    }

    function remember() {
      Object.assign(draft, { query: query(), reasons: reasons(), note: one(".vote-note")?.value ?? "" });
    }

    function settle() {
      if (!one(".vote-note")) return;
      if (draft.query !== query()) { remember(); return; }
      for (const chip of all("[data-reason]")) chip.setAttribute("aria-pressed", String(draft.reasons.includes(chip.dataset.reason)));
      one(".vote-note").value = draft.note;
    }

    async function vote(choice) {
      if (!one("[data-choice]")) return;
      await panel.tell({ act: "vote", choice, reasons: reasons(), note: one(".vote-note").value.trim() });
      if (told()) {
        draft.query = "";
        one(".vote-next")?.focus({ preventScroll: true });
      }
    }

    function next() {
      if (one("[data-choice]")) panel.tell({ act: "skip" });
      else if (Number(one("[data-next]")?.dataset.next) >= 0) panel.look({ act: "go", at: Number(one("[data-next]").dataset.next) });
    }

    function enlarge(leaf) {
      const leaves = all(".leaf");
      if (leaves.length) judge.blind.open(leaves, leaf ?? leaves.find((other) => other === document.activeElement) ?? leaves[0], server);
    }

    function click(button) {
      const { choice, reason } = button.dataset;
      if (choice) vote(choice);
      else if (reason) { button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true")); remember(); }
      else if ("skip" in button.dataset) next();
      else if (button.classList.contains("leaf")) enlarge(button);
    }

    function key(pressed) {
      if (!panel.ready()) return pressed in CHOICES;
      if (pressed in CHOICES) vote(CHOICES[pressed]);
      else if (pressed === "u") panel.tell({ act: "undo" });
      else if (pressed === "n") next();
      else if (pressed === "v") enlarge();
      else if (pressed === "Enter" && told() && document.activeElement === document.body) next();
      else return false;
      return true;
    }

    element.addEventListener("input", (event) => event.target.matches(".vote-note") && remember());
    const panel = judge.panel(element, watch, trigger, { name: "vote", act: (what) => server.vote(what), settle, click, key });
  };
})();
