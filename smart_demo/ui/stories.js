/* Stories, the presenter's view and links to the answer on the screen: turns keys into the clicks that a visitor could make
   and keeps the address up to date. Python decides which story is shown. */
(() => {
  "use strict";
  const { address } = window.smartDemo;
  const root = document.documentElement;
  const presenting = () => root.classList.contains("is-presenting");
  const chips = () => [...document.querySelectorAll("#examples .chip")];
  let wanted = -1, sent = -1, last = -1, viewed = "", pending = address.page();

  /* ---- stepping through the stories ---- */
  const currentStory = () => chips().findIndex((chip) => chip.getAttribute("aria-pressed") === "true");

  function step(by) {
    const all = chips(), now = wanted >= 0 ? wanted : currentStory();
    /* After a query that is no story, continue from the last story. */
    const next = now >= 0 ? now + by : by > 0 ? last + 1 : Math.max(last, 0);
    if (next < 0 || next >= all.length) return;
    wanted = next;
    update();
    scrollTo({ top: 0, behavior: "instant" });
  }

  /* Request one story at a time: steps made before its answer arrives skip to the last one requested. Gradio drops a click
     that comes while it finishes the previous answer, so click again, up to six times, until the story is shown. */
  function openStory(retries = 6) {
    const asked = sent = wanted;
    chips()[asked]?.click();
    if (retries) setTimeout(() => sent === asked && currentStory() !== asked && openStory(retries - 1), 1500);
  }

  /* ---- the presenter's view ---- */
  function setPresenting(on) {
    root.classList.toggle("is-presenting", on);
    address.change({ present: on ? "1" : "" });
    update();
    scrollTo({ top: 0, behavior: "instant" });
    document.querySelector(on ? '[data-share="next"]' : '[data-share="present"]')?.focus({ preventScroll: true });
  }

  document.addEventListener("keydown", (event) => {
    if (!presenting() || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const box = event.target.closest?.("input, textarea, select");
    const by = { ArrowRight: 1, PageDown: 1, ArrowLeft: -1, PageUp: -1 }[event.key];
    if (box) {
      /* Enter and Escape leave the query box, so that the keys step through the stories again. */
      const submits = event.key === "Enter" && !event.shiftKey;
      if (submits) wanted = sent = -1; // no story is pending any more
      if (submits || event.key === "Escape") setTimeout(() => box.blur());
    } else if (by || event.key === "Escape") {
      event.preventDefault();
      event.stopPropagation();
      if (by) step(by);
      else setPresenting(false);
    }
  }, true);

  /* ---- the link to the answer on the screen ---- */
  function link() {
    const view = new URLSearchParams(document.querySelector(".answer")?.dataset.link ?? "");
    if (viewed) view.set("page", viewed);
    if (presenting()) view.set("present", "1");
    return `${location.origin}${address.build(view)}`;
  }

  /* On a public page, a link to the visitor's own documents works only for that visitor, and the label says so. */
  function copiedLabel() {
    const parts = [...new URL(link()).searchParams];
    const own = parts.some(([name, value]) => (name === "in" && value !== "Samples") || value.startsWith("local/"));
    return (own && document.querySelector(".share")?.dataset.own) || "Link copied";
  }

  function showLabel(button, text) {
    button.textContent = text;
    button.classList.add("is-said");
    for (const node of document.querySelectorAll(".share-said")) node.textContent = text;
    setTimeout(() => {
      button.textContent = "Copy link";
      button.classList.remove("is-said");
      for (const node of document.querySelectorAll(".share-said")) node.textContent = "";
    }, text.length > 40 ? 6000 : 2400);
  }

  async function copy(button) {
    /* An uploaded picture is temporary and private to its visitor, so a link has the words of the query alone. */
    const { text = "", picture = "" } = JSON.parse(document.querySelector(".answer")?.dataset.asked || "{}");
    const withoutPicture = picture.startsWith("kept:");
    if (withoutPicture && !text.trim()) return showLabel(button, "An uploaded picture has no link");
    const copied = await window.smartDemo.copy(link(), button);
    showLabel(button, !copied ? "Copy it from the address bar" : withoutPicture ? "Link copied, without the picture" : copiedLabel());
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
      present: () => setPresenting(true), leave: () => setPresenting(false),
      next: () => step(1), previous: () => step(-1), copy: () => copy(button),
    }[button?.dataset.share];
    act?.();
  });

  /* ---- update counter, marks, presets and the viewer from the answer on the screen ---- */
  function update() {
    const at = currentStory();
    if (at === sent) sent = -1;
    if (at === wanted) wanted = -1;
    if (at >= 0) last = at;
    if (wanted >= 0 && sent < 0) openStory();
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
    note.textContent = "The page of this link is not among these results. It may have been deleted.";
    answer.querySelector(".verdict")?.after(note);
  }

  root.classList.toggle("is-presenting", address.read().get("present") === "1");
  let scheduled = false;
  new MutationObserver(() => {
    if (scheduled) return;
    scheduled = true;
    requestAnimationFrame(() => { scheduled = false; update(); });
  }).observe(document, { childList: true, subtree: true });
})();
