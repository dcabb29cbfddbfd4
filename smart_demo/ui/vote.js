/* The blind comparison: sends keys or clicks, reasons and a note as a vote, which counts once the server has saved it. */
(() => {
  "use strict";
  const judge = window.smartDemo.judge;
  const CHOICES = { 1: "a", 2: "b", 3: "tie", 4: "bad" };

  judge.vote = (element, server, watch, trigger) => {
    const find = (selector) => element.querySelector(selector), all = (selector) => [...element.querySelectorAll(selector)];
    /* Reasons and a note that are not sent yet survive a new sheet of the same query. */
    const draft = { query: "", reasons: [], note: "" };
    const query = () => find(".judge-query")?.textContent ?? "";
    const revealed = () => Boolean(find(".is-told"));

    function reasons() {
      return all("[data-reason][aria-pressed=true]").map((chip) => chip.dataset.reason);
    }

    function saveDraft() {
      Object.assign(draft, { query: query(), reasons: reasons(), note: find(".vote-note")?.value ?? "" });
    }

    function restoreDraft() {
      if (!find(".vote-note")) return;
      if (draft.query !== query()) { saveDraft(); return; }
      for (const chip of all("[data-reason]")) chip.setAttribute("aria-pressed", String(draft.reasons.includes(chip.dataset.reason)));
      find(".vote-note").value = draft.note;
    }

    async function vote(choice) {
      if (!find("[data-choice]")) return;
      await panel.tell({ act: "vote", choice, reasons: reasons(), note: find(".vote-note").value.trim() });
      if (revealed()) {
        draft.query = "";
        find(".vote-next")?.focus({ preventScroll: true });
      }
    }

    function next() {
      if (find("[data-choice]")) panel.tell({ act: "skip" });
      else if (Number(find("[data-next]")?.dataset.next) >= 0) panel.look({ act: "go", at: Number(find("[data-next]").dataset.next) });
    }

    function enlarge(leaf) {
      const leaves = all(".leaf");
      if (leaves.length) judge.blind.open(leaves, leaf ?? leaves.find((other) => other === document.activeElement) ?? leaves[0], server);
    }

    function click(button) {
      const { choice, reason } = button.dataset;
      if (choice) vote(choice);
      else if (reason) { button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true")); saveDraft(); }
      else if ("skip" in button.dataset) next();
      else if (button.classList.contains("leaf")) enlarge(button);
    }

    function key(pressed) {
      if (!panel.ready()) return pressed in CHOICES;
      if (pressed in CHOICES) vote(CHOICES[pressed]);
      else if (pressed === "u") panel.tell({ act: "undo" });
      else if (pressed === "n") next();
      else if (pressed === "v") enlarge();
      else if (pressed === "Enter" && revealed() && document.activeElement === document.body) next();
      else return false;
      return true;
    }

    element.addEventListener("input", (event) => event.target.matches(".vote-note") && saveDraft());
    const panel = judge.panel(element, watch, trigger, { name: "vote", act: (what) => server.vote(what), settle: restoreDraft, click, key });
  };
})();
