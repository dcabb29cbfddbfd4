/* Stories, the presenter's view and links to what is on the screen. Which story is told, and what came of it, is
   Python's to say; here keys become the clicks that a visitor could make, and the address is kept true. */
(() => {
  "use strict";
  const { address } = window.smartDemo;
  const root = document.documentElement;
  const presenting = () => root.classList.contains("is-presenting");
  const chips = () => [...document.querySelectorAll("#examples .chip")];
  let wanted = -1, sent = -1, last = -1, viewed = "", pending = address.page();

  /* ---- one story after the other ---- */
  const told = () => chips().findIndex((chip) => chip.getAttribute("aria-pressed") === "true");

  function step(by) {
    const all = chips(), now = wanted >= 0 ? wanted : told();
    /* After a question of the audience's own, the way goes on from the story before it. */
    const next = now >= 0 ? now + by : by > 0 ? last + 1 : Math.max(last, 0);
    if (next < 0 || next >= all.length) return;
    wanted = next;
    settle();
    scrollTo({ top: 0, behavior: "instant" });
  }

  /* One story is asked for at a time: whoever steps faster than the answers come gets the last one next. A click while
     Gradio still closes the answer before is dropped there, so it is made again, a few times, where nothing came of it. */
  function send(again = 6) {
    const asked = sent = wanted;
    chips()[asked]?.click();
    if (again) setTimeout(() => sent === asked && told() !== asked && send(again - 1), 1500);
  }

  /* ---- the presenter's view ---- */
  function present(on) {
    root.classList.toggle("is-presenting", on);
    address.change({ present: on ? "1" : "" });
    settle();
    scrollTo({ top: 0, behavior: "instant" });
    document.querySelector(on ? '[data-share="next"]' : '[data-share="present"]')?.focus({ preventScroll: true });
  }

  document.addEventListener("keydown", (event) => {
    if (!presenting() || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const box = event.target.closest?.("input, textarea, select");
    const by = { ArrowRight: 1, PageDown: 1, ArrowLeft: -1, PageUp: -1 }[event.key];
    if (box) {
      /* A question asked, or thought better of: the keys are the presenter's again. */
      const asks = event.key === "Enter" && !event.shiftKey;
      if (asks) wanted = sent = -1; // no story is asked for any more
      if (asks || event.key === "Escape") setTimeout(() => box.blur());
    } else if (by || event.key === "Escape") {
      event.preventDefault();
      event.stopPropagation();
      if (by) step(by);
      else present(false);
    }
  }, true);

  /* ---- the link to what is on the screen ---- */
  function link() {
    const view = new URLSearchParams(document.querySelector(".answer")?.dataset.link ?? "");
    if (viewed) view.set("page", viewed);
    if (presenting()) view.set("present", "1");
    return `${location.origin}${address.build(view)}`;
  }

  /* On a public page nobody else sees what a link to one's own documents shows. */
  function whose() {
    const parts = [...new URL(link()).searchParams];
    const own = parts.some(([name, value]) => (name === "in" && value !== "Samples") || value.startsWith("local/"));
    return (own && document.querySelector(".share")?.dataset.own) || "Link copied";
  }

  function say(button, said) {
    button.textContent = said;
    button.classList.add("is-said");
    for (const node of document.querySelectorAll(".share-said")) node.textContent = said;
    setTimeout(() => {
      button.textContent = "Copy link";
      button.classList.remove("is-said");
      for (const node of document.querySelectorAll(".share-said")) node.textContent = "";
    }, said.length > 40 ? 6000 : 2400);
  }

  async function copy(button) {
    /* An uploaded picture is kept for a while and for whoever gave it: a link asks its words alone. */
    const { text = "", picture = "" } = JSON.parse(document.querySelector(".answer")?.dataset.asked || "{}");
    const alone = picture.startsWith("kept:");
    if (alone && !text.trim()) return say(button, "An uploaded picture has no link");
    const copied = await window.smartDemo.copy(link(), button);
    say(button, !copied ? "Copy it from the address bar" : alone ? "Link copied, without the picture" : whose());
  }

  document.addEventListener("viewing", (event) => {
    viewed = event.detail;
    address.view(viewed);
    const tools = document.querySelector("dialog.viewer:not(.is-blind) .viewer-tools");
    if (!tools || tools.querySelector('[data-share="copy"]')) return;
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.share = "copy";
    button.textContent = "Copy link";
    tools.querySelector('[data-do="close"]').before(button);
  });

  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-share]");
    const act = {
      present: () => present(true), leave: () => present(false),
      next: () => step(1), previous: () => step(-1), copy: () => copy(button),
    }[button?.dataset.share];
    act?.();
  });

  /* ---- what follows from the answer on the screen ---- */
  function settle() {
    const at = told();
    if (at === sent) sent = -1;
    if (at === wanted) wanted = -1;
    if (at >= 0) last = at;
    if (wanted >= 0 && sent < 0) send();
    const now = wanted >= 0 ? wanted : at, all = chips().length;
    const counter = document.querySelector(".stepper-at"), text = now < 0 ? `${all} stories` : `${now + 1} of ${all}`;
    if (counter && counter.textContent !== text) counter.textContent = text;
    const page = document.querySelector(".story")?.dataset.told;
    for (const node of document.querySelectorAll(".answer [data-page]")) {
      node.classList.toggle("is-told", node.dataset.page === page);
    }
    const answer = document.querySelector(".answer[data-link]");
    if (!answer) return;
    const asked = new URLSearchParams(answer.dataset.link);
    for (const preset of document.querySelectorAll("#presets button")) {
      const [pooled, late] = preset.id.split("-").slice(1);
      const paper = !asked.has("sum") && !asked.has("words");
      preset.setAttribute("aria-pressed", paper && asked.get("lp") === pooled && asked.get("ll") === late);
    }
    if (!pending) return;
    const cards = [...answer.querySelectorAll(".card")].filter((card) => card.dataset.page === pending);
    const card = cards.find((one) => one.dataset.side === "smart") ?? cards[0];
    pending = "";
    if (card) return card.click();
    address.view("");
    const note = document.createElement("p");
    note.className = "notice";
    note.setAttribute("role", "status");
    note.textContent = "The page that this link opens is not among these results: it may have been deleted since.";
    answer.querySelector(".verdict")?.after(note);
  }

  root.classList.toggle("is-presenting", address.read().get("present") === "1");
  let due = false;
  new MutationObserver(() => {
    if (due) return;
    due = true;
    requestAnimationFrame(() => { due = false; settle(); });
  }).observe(document, { childList: true, subtree: true });
})();
