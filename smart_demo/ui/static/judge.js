/**
 * @file The tab Judge: votes, grades, results and query lists. Python makes and escapes the markup of the panels; status
 * messages are set as text.
 */
import { isPlainClick, listInAddress, openTabForAnswer, queryFor, showList, showQuery } from "./addresses.js";
import { loadPicture, shownPicture } from "./pictures.js";
import { answerOf, confirmDelete, make, openTab, saveFile, stage, whenShown } from "./tools.js";
import { Viewer } from "./viewer.js";

function showPanel(name) {
  document.querySelector(`#judge-tabs [role="tab"][data-tab-id="judge-${name}"]`)?.click();
}

/** Tell the panels that a judgement was saved or deleted. */
function announceJudged() {
  document.dispatchEvent(new CustomEvent("judged"));
}

/** Return the name of a card's page. */
function nameOf(card) {
  return [".page-name", ".page-number"].map((part) => card.querySelector(part).textContent).join(", ");
}

// ---- status messages: announced to screen readers by an element that no panel replaces, and printed on request ----

const PRINTED_MS = 5000;
const status = {
  spoken: make("p", { class: "judge-said", role: "status" }),
  printed: make("p", { class: "judge-printed", "aria-hidden": "true" }),
  timer: 0,
};

function say(text, isPrinted = false) {
  if (!status.spoken.isConnected) stage().append(status.spoken, status.printed);
  status.spoken.textContent = text;
  if (!isPrinted) return;
  status.printed.textContent = text;
  clearTimeout(status.timer);
  status.timer = setTimeout(() => {
    status.printed.textContent = "";
  }, PRINTED_MS);
}

// ---- the large view: the page alone, without ranks or scores ----

class BlindViewer extends Viewer {
  constructor() {
    super("Previous page", "Next page");
    this.dialog.classList.add("is-blind");
  }

  describe(card) {
    const { side } = card.dataset;
    const column = side ? this.cards.filter((other) => other.dataset.side === side) : this.cards;
    const place = `${column.indexOf(card) + 1} of ${column.length}`;
    const name = nameOf(card);
    this.title.textContent = `${side ? `Column ${side.toUpperCase()} · ` : ""}${place} · ${name}`;
    this.stage.setAttribute("aria-label", name);
  }
}

let blindViewer;

/** Open the large view on a card, or on the first one. */
function enlarge(cards, card, server) {
  blindViewer ??= new BlindViewer();
  blindViewer.open(cards, cards.includes(card) ? card : cards[0], server);
}

// ---- panels with one query: they request their sheet when they become visible and after every step ----

/** Panels that take keys, by name; a panel that is mounted again replaces the one before. */
const panels = new Map();

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || document.querySelector("dialog[open]")) return;
  if (event.target.closest?.("input, textarea, select, [contenteditable]")) return;
  const isVisible = ({ element }) => element.isConnected && element.checkVisibility();
  const panel = [...panels.values()].find(isVisible);
  if (panel?.key(event.key)) event.preventDefault();
});

/** How often a query is requested because the address names it. */
const MAX_FINDS = 3;

/** What the panels Vote and Grade share. Subclasses define `act`, `settle`, `click` and `key`. */
class Panel {
  #trigger;
  /** Whether another sheet has been requested, so that no judgement may be sent for this one. */
  #isLeaving = true;
  /** Whether a judgement is on its way. Only one is sent at a time. */
  #isSending = false;
  #shownQuery = "";
  #name;
  /** The query that was requested because the address names it, until its sheet arrives, and how often. */
  #finding = "";
  #finds = 0;

  constructor(name, element, server, watch, trigger) {
    this.#name = name;
    this.element = element;
    this.server = server;
    this.#trigger = trigger;
    element.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (button && !button.disabled) this.#press(button);
    });
    element.addEventListener("submit", (event) => {
      event.preventDefault();
      const query = event.target.elements.query.value.trim();
      if (query) this.look({ act: "ask", query });
    });
    panels.set(name, this);
    watch("value", () => this.#onSheet());
    whenShown(element, () => this.#lookByAddress() || this.look());
    document.addEventListener("addressed", () => {
      this.#finding = "";
      if (element.isConnected && element.checkVisibility()) this.#lookByAddress();
    });
  }

  /** Request the query that the address names, unless it is shown or was requested. Returns whether it is requested. */
  #lookByAddress() {
    const query = queryFor(this.#name);
    if (!query || query === this.#key()) return false;
    this.#finds = query === this.#finding ? this.#finds + 1 : 1;
    this.#finding = query;
    this.look({ act: "find", query });
    return true;
  }

  /** Return the key of the query that is shown. */
  #key() {
    return this.find("[data-key]")?.dataset.key ?? "";
  }

  /** Send a judgement to the server and return its answer. */
  act(_step) {}

  /** Called for every new sheet. */
  settle() {}

  /** Called for a click on a button that only this panel has. */
  click(_button) {}

  /** Act on a pressed key. Returns whether the key means something here. */
  key(_key) {}

  get isReady() {
    return !this.#isLeaving && !this.#isSending;
  }

  find(selector) {
    return this.element.querySelector(selector);
  }

  all(selector) {
    return [...this.element.querySelectorAll(selector)];
  }

  query() {
    return this.find(".judge-query")?.textContent ?? "";
  }

  /** Request a sheet. */
  look(step = {}) {
    this.#isLeaving = true;
    this.element.toggleAttribute("data-leaving", true);
    this.#trigger("select", { act: "look", ...step });
  }

  /** Go to the next query that is not judged, if there is one. */
  goToNext() {
    const at = Number(this.find("[data-next]")?.dataset.next);
    if (at >= 0) this.look({ act: "go", at });
  }

  /** Send one judgement. An answer with a sentence means that it was not saved. */
  async send(step) {
    if (!this.isReady) return;
    this.#isSending = true;
    this.element.toggleAttribute("data-saying", true);
    const request = { ticket: this.#sheet()?.dataset.ticket, ...step };
    const answer = await answerOf(() => this.act(request));
    this.#isSending = false;
    this.element.removeAttribute("data-saying");
    if (answer.sentence && !answer.look) {
      this.#showError(answer.sentence);
      return;
    }
    this.#showError("");
    say(answer.sentence ?? answer.said, Boolean(answer.sentence) || step.act === "undo");
    if (answer.sheet) this.#replace(answer.sheet);
    else this.look("go" in answer ? { act: "go", at: answer.go } : {});
    if (!answer.sentence) announceJudged();
  }

  #sheet() {
    return this.find("[data-ticket]");
  }

  #press(button) {
    const { go, show, scope } = button.dataset;
    if (go !== undefined) this.look({ act: "go", at: Number(go) });
    else if (show) showPanel(show);
    else if (scope) this.look({ act: "scope", scope });
    else if ("start" in button.dataset) this.look({ act: "start" });
    else if ("take" in button.dataset) this.look({ act: "take" });
    else if ("look" in button.dataset) this.look();
    else if ("undo" in button.dataset) this.send({ act: "undo" });
    else this.click(button);
  }

  #onSheet() {
    this.#isLeaving = false;
    this.element.removeAttribute("data-leaving");
    if (this.find("[data-again]"))
      setTimeout(() => this.element.checkVisibility() && (this.#lookByAddress() || this.look()), 2500);
    this.settle();
    this.#scrollToNewQuery();
    const place = this.find(".judge-at")?.textContent;
    if (place && this.#sheet()) say(`${place}: ${this.query()}`);
    this.#writeAddress();
  }

  /** Write the query into the address. If Gradio dropped the request for the one in the address, send it again. */
  #writeAddress() {
    if (this.find("[data-again]")) return;
    const key = this.#key();
    if (key && this.#finding && key !== this.#finding && this.#finds < MAX_FINDS && this.#lookByAddress()) return;
    this.#finding = "";
    showQuery(this.#name, key);
  }

  /** Scroll to the top of the panel if the sheet shows another query. */
  #scrollToNewQuery() {
    const query = this.query();
    const above = this.find(".judge-head")?.getBoundingClientRect().top ?? 0;
    if (this.#shownQuery && query !== this.#shownQuery && above < 0) {
      scrollTo({ top: scrollY + above - 12, behavior: "instant" });
    }
    this.#shownQuery = query;
  }

  /** Show a sheet. The server leaves out thumbnails that the last sheet had, so they are copied from it. */
  #replace(markup) {
    const pageOf = (node) => node.closest("[data-page]").dataset.page;
    const thumbs = new Map(this.all("img.thumb").map((image) => [pageOf(image), image]));
    const isSetupOpen = this.find(".judge-setup")?.open;
    this.find(".judge-panel").innerHTML = markup;
    for (const missing of this.all("svg.thumb.missing")) {
      const image = thumbs.get(pageOf(missing));
      if (image) missing.replaceWith(image.cloneNode());
    }
    if (isSetupOpen) this.find(".judge-setup")?.setAttribute("open", "");
    this.settle();
  }

  #showError(text) {
    const note = this.find(".vote-trouble");
    if (!note) {
      if (text) say(text);
      return;
    }
    note.textContent = text;
    note.hidden = !text;
  }
}

// ---- the blind comparison: a vote counts once the server has saved it ----

const CHOICES = { 1: "a", 2: "b", 3: "tie", 4: "bad" };

class VotePanel extends Panel {
  /** Reasons and a note that are not sent yet; they survive a new sheet of the same query. */
  #draft = { query: "", reasons: [], note: "" };

  constructor(...given) {
    super("vote", ...given);
    this.element.addEventListener("input", (event) => event.target.matches(".vote-note") && this.#saveDraft());
  }

  act(step) {
    return this.server.vote(step);
  }

  settle() {
    const note = this.find(".vote-note");
    if (!note) return;
    if (this.#draft.query !== this.query()) {
      this.#saveDraft();
      return;
    }
    for (const chip of this.all("[data-reason]")) {
      chip.setAttribute("aria-pressed", String(this.#draft.reasons.includes(chip.dataset.reason)));
    }
    note.value = this.#draft.note;
  }

  click(button) {
    const { choice, reason } = button.dataset;
    if (choice) this.#vote(choice);
    else if (reason) this.#toggleReason(button);
    else if ("skip" in button.dataset) this.#next();
    else if (button.classList.contains("page-card")) this.#enlarge(button);
  }

  key(key) {
    if (!this.isReady) return key in CHOICES;
    if (key in CHOICES) this.#vote(CHOICES[key]);
    else if (key === "u") this.send({ act: "undo" });
    else if (key === "n") this.#next();
    else if (key === "v") this.#enlarge(document.activeElement);
    else if (key === "Enter" && this.#isRevealed() && document.activeElement === document.body) this.#next();
    else return false;
    return true;
  }

  #isRevealed() {
    return Boolean(this.find(".is-revealed"));
  }

  #reasons() {
    return this.all("[data-reason][aria-pressed=true]").map((chip) => chip.dataset.reason);
  }

  #saveDraft() {
    this.#draft = { query: this.query(), reasons: this.#reasons(), note: this.find(".vote-note")?.value ?? "" };
  }

  #toggleReason(chip) {
    chip.setAttribute("aria-pressed", String(chip.getAttribute("aria-pressed") !== "true"));
    this.#saveDraft();
  }

  async #vote(choice) {
    if (!this.find("[data-choice]")) return;
    const note = this.find(".vote-note").value.trim();
    await this.send({ act: "vote", choice, reasons: this.#reasons(), note });
    if (!this.#isRevealed()) return;
    this.#draft.query = "";
    this.find(".vote-next")?.focus({ preventScroll: true });
  }

  /** Go to the next query; before the vote this skips the query. */
  #next() {
    if (this.find("[data-choice]")) this.send({ act: "skip" });
    else this.goToNext();
  }

  #enlarge(card) {
    const cards = this.all(".page-card");
    if (cards.length) enlarge(cards, card, this.server);
  }
}

/** Hook of the panel Vote. */
export function vote(element, server, watch, trigger) {
  new VotePanel(element, server, watch, trigger);
}

// ---- graded relevance: one page large; the arrow keys choose another page and the keys 0 to 3 grade it ----

class GradePanel extends Panel {
  #page = "";
  #gradedQuery = "";
  #requests = 0;

  constructor(...given) {
    super("grade", ...given);
    this.element.addEventListener("click", (event) => {
      const card = event.target.closest(".grade-card");
      if (card) this.#choose(this.#cards().indexOf(card), true);
    });
  }

  act(step) {
    return this.server.grade(step);
  }

  /** A new query starts at its first page without a grade, also after a reload. */
  settle() {
    const cards = this.#cards();
    if (!cards.length) return;
    if (this.query() !== this.#gradedQuery || this.#chosen() < 0) {
      this.#page = (cards.find((card) => !card.dataset.grade) ?? cards[0]).dataset.page;
    }
    this.#gradedQuery = this.query();
    this.#choose(this.#chosen());
  }

  click(button) {
    if (button.dataset.as) this.#grade(button.dataset.as);
    else if ("view" in button.dataset) this.#enlarge();
    else if ("ranks" in button.dataset) this.send({ act: "ranks" });
  }

  key(key) {
    const isGrade = /^[0-3]$/.test(key);
    if (!this.isReady) return isGrade;
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[key];
    if (key === "u") this.send({ act: "undo" });
    else if (key === "n" && Number(this.find("[data-next]")?.dataset.next) >= 0) this.goToNext();
    else if (!this.#cards().length) return false;
    else if (step) this.#choose(this.#chosen() + step, true);
    else if (isGrade) this.#grade(key);
    else if (key === "v" || (key === "Enter" && document.activeElement.matches(".grade-card"))) this.#enlarge();
    else return false;
    return true;
  }

  #cards() {
    return this.all(".grade-card");
  }

  #chosen() {
    return this.#cards().findIndex((card) => card.dataset.page === this.#page);
  }

  #choose(at, takesFocus = false) {
    const cards = this.#cards();
    const card = cards[Math.min(Math.max(at, 0), cards.length - 1)];
    this.#page = card.dataset.page;
    for (const other of cards) {
      other.setAttribute("aria-selected", String(other === card));
      other.tabIndex = other === card ? 0 : -1;
    }
    for (const button of this.all("[data-as]")) {
      button.setAttribute("aria-pressed", String(button.dataset.as === card.dataset.grade));
    }
    const strip = card.parentElement;
    strip.scrollTop = card.offsetTop - (strip.clientHeight - card.offsetHeight) / 2;
    strip.scrollLeft = card.offsetLeft - (strip.clientWidth - card.offsetWidth) / 2;
    if (takesFocus) card.focus({ preventScroll: true });
    this.#showPage(card);
  }

  /** Show the page's thumbnail until its picture has arrived. */
  async #showPage(card) {
    const request = ++this.#requests;
    const image = this.find(".reading-page img");
    const caption = this.find(".reading-said");
    const thumb = shownPicture(card.querySelector("img.thumb"));
    const name = nameOf(card);
    caption.textContent = name;
    image.alt = name;
    image.hidden = !thumb;
    if (thumb) image.src = thumb;
    const answer = await loadPicture(this.server, card.dataset.page);
    if (request !== this.#requests) return;
    if (answer.picture) {
      image.src = answer.picture;
      image.hidden = false;
    } else {
      caption.textContent = `${name}. ${answer.sentence}`;
    }
  }

  /** Grade the page, then choose the next one without a grade. Stay if the page had a grade, or if every page has. */
  async #grade(value) {
    const card = this.#cards()[this.#chosen()];
    const before = card?.dataset.grade;
    const page = this.#page;
    if (!card) return;
    await this.send({ act: "grade", page, grade: Number(value) });
    const cards = this.#cards();
    const here = cards.findIndex((other) => other.dataset.page === page);
    if (here < 0 || before || before === cards[here].dataset.grade) return;
    const open = [...cards.slice(here + 1), ...cards.slice(0, here)].find((other) => !other.dataset.grade);
    this.#choose(open ? cards.indexOf(open) : here, this.element.contains(document.activeElement));
  }

  #enlarge() {
    enlarge(this.#cards(), this.#cards()[this.#chosen()], this.server);
  }
}

/** Hook of the panel Grade. */
export function grade(element, server, watch, trigger) {
  new GradePanel(element, server, watch, trigger);
}

// ---- results: scoreboards, requested when the panel is visible and after every judgement; export and deletion ----

/** Search for a judged query again in Compare: Python sets the query and the weights. */
function reopen(link, trigger) {
  trigger("select", JSON.parse(link.dataset.reopen));
  openTabForAnswer("compare");
  scrollTo({ top: 0, behavior: "instant" });
}

/** Follow a link to a search in Compare without loading the page again. Returns whether the click was on one. */
function reopenByLink(event, trigger) {
  const link = event.target.closest("[data-reopen]");
  if (!link || !isPlainClick(event)) return false;
  event.preventDefault();
  reopen(link, trigger);
  return true;
}

function confirmDeleteEvaluation(button, onConfirm) {
  const text =
    "All votes, grades and notes, and the list of queries, are removed from the disk. Download them first if you may " +
    "need them.";
  confirmDelete(button, "Delete this evaluation?", [text], onConfirm);
}

/** Replace the markup of a place if it changed. Its sections that were open stay open. */
function fillPlace(place, markup) {
  if (place.dataset.shown === markup) return;
  const open = new Set([...place.querySelectorAll("details[open] > summary")].map((summary) => summary.textContent));
  place.innerHTML = markup;
  place.dataset.shown = markup;
  for (const summary of place.querySelectorAll("details > summary")) {
    summary.parentElement.open = open.has(summary.textContent);
  }
}

/** Hook of the panel Results. */
export function boards(element, server, trigger) {
  const find = (selector) => element.querySelector(selector);
  let requests = 0;

  async function refresh() {
    const request = ++requests;
    const found = await answerOf(() => server.board({}));
    if (request !== requests || !element.isConnected) return;
    find(".boards-trouble").textContent = found.sentence ?? "";
    find(".boards-trouble").hidden = !found.sentence;
    find(".boards").setAttribute("aria-busy", "false");
    if (found.sentence) return;
    fillPlace(find('[data-fill="boards"]'), found.boards);
    fillPlace(find('[data-fill="single"]'), found.single);
    find(".board-remaining").textContent = found.remaining;
    for (const button of element.querySelectorAll("[data-file], [data-forget]")) button.disabled = !found.single;
  }

  async function download(button) {
    const note = find(".board-file-said");
    note.textContent = "Saving…";
    button.disabled = true;
    const file = await answerOf(() => server.board_file({ form: button.dataset.file }));
    button.disabled = false;
    button.focus();
    if (!file.sentence) {
      const bytes = Uint8Array.from(atob(file.data), (byte) => byte.charCodeAt(0));
      saveFile(new Blob([bytes], { type: file.type }), file.name);
    }
    note.textContent = file.sentence ?? `Saved as ${file.name}`;
  }

  async function deleteEvaluation() {
    const done = await answerOf(() => server.board_forget({}));
    announceJudged();
    find(".board-file-said").textContent = done.sentence ?? done.said;
  }

  element.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (reopenByLink(event, trigger)) return;
    if (button?.dataset.file) download(button);
    else if (button?.dataset.panel) showPanel(button.dataset.panel);
    else if (button?.hasAttribute("data-forget")) confirmDeleteEvaluation(button, deleteEvaluation);
  });
  // Computing the intervals takes a moment, so the boards are requested only while the panel is visible.
  const isVisible = whenShown(element, refresh);
  document.addEventListener("judged", function onJudged() {
    if (!element.isConnected) document.removeEventListener("judged", onJudged);
    else if (isVisible()) refresh();
  });
}

// ---- query lists: the table is requested when the run has finished, then sorted and filtered here ----

/** Columns that sort upwards at first, so that the most interesting rows come first. */
const RISING = new Set(["query", "rbo", "tau"]);
const FILTERS = {
  all: () => true,
  first: (row) => row.dataset.first === "1",
  five: (row) => row.dataset.five === "1",
  smart: (row) => row.dataset.better === "smart",
  pooled: (row) => row.dataset.better === "pooled",
};

/** Sort the rows by a column; rows without a value come last, and ties keep the order of the list. */
function sortTable(table, head) {
  const key = head.querySelector("[data-sort]").dataset.sort;
  const before = head.getAttribute("aria-sort");
  const isRising = before === "none" ? RISING.has(key) : before === "descending";
  for (const other of table.querySelectorAll("[aria-sort]")) other.setAttribute("aria-sort", "none");
  head.setAttribute("aria-sort", isRising ? "ascending" : "descending");
  const isText = key === "query";
  const valueOf = (row) => (isText ? row.querySelector(".list-query bdi:last-of-type").textContent : row.dataset[key]);
  const compare = (a, b) => {
    const [one, other] = [valueOf(a), valueOf(b)];
    if (one === "" || other === "") return (one === "") - (other === "");
    const order = isText ? one.localeCompare(other) : one - other;
    return isRising ? order : -order;
  };
  const body = table.tBodies[0];
  body.append(...[...body.rows].sort((a, b) => compare(a, b) || a.dataset.place - b.dataset.place));
}

function filterTable(place) {
  const words = place.querySelector('[data-list="find"]').value.trim().toLocaleLowerCase();
  const isKind = FILTERS[place.querySelector('[data-list="show"]').value];
  const hasWords = (row) => row.querySelector(".list-query").textContent.toLocaleLowerCase().includes(words);
  let shown = 0;
  for (const row of place.querySelector("tbody").rows) {
    row.hidden = !(isKind(row) && hasWords(row));
    shown += !row.hidden;
  }
  const count = place.querySelector(".list-count");
  const { of } = count.dataset;
  count.textContent = shown === Number(of) ? `${of} shown` : `${shown} of ${of} shown`;
}

/** Show or hide the five queries for a slide, and mark them in the table. */
function toggleFive(place) {
  const five = place.querySelector("#list-five");
  const isShown = five.hidden;
  five.hidden = !isShown;
  place.querySelector('[data-list="five"]').setAttribute("aria-expanded", String(isShown));
  for (const why of place.querySelectorAll(".list-why")) {
    why.hidden = !isShown;
    why.closest("tr").classList.toggle("is-picked", isShown);
  }
  if (isShown) five.focus();
}

/** Hook of the table of a query list. */
export function queryList(element, server, watch, trigger) {
  let csv = null;

  async function fill() {
    const place = element.querySelector("[data-run]");
    csv = null;
    if (!place) return;
    const found = await answerOf(() => server.list_table({ run: place.dataset.run }));
    if (!place.isConnected) return;
    place.setAttribute("aria-busy", "false");
    if (found.sentence) {
      place.textContent = found.sentence;
      return;
    }
    place.innerHTML = found.table;
    csv = found;
    showList(place.dataset.run);
  }

  /** Show the list that the address names, which another page load or an earlier entry of the history ran. */
  function fillByAddress() {
    const run = listInAddress();
    const before = element.querySelector("[data-run]");
    if (!run || before?.dataset.run === run) return;
    const place = make("div", { class: "list-found is-linked", "data-run": run, "aria-busy": "true" });
    if (before) before.dataset.run = run;
    else element.append(place);
    fill();
  }

  /** Add a query of the list to those to judge, and open it. */
  async function addToVotes(button) {
    const place = button.closest("[data-run]");
    const request = { run: place.dataset.run, at: Number(button.dataset.vote) };
    button.disabled = true;
    const answer = await answerOf(() => server.list_vote(request));
    button.disabled = false;
    if (answer.sentence) {
      place.querySelector(".list-said").textContent = answer.sentence;
      return;
    }
    announceJudged();
    showPanel("vote");
  }

  element.addEventListener("click", (event) => {
    if (reopenByLink(event, trigger)) return;
    const button = event.target.closest("button");
    const place = button?.closest("[data-run]");
    if (!place) return;
    if (button.dataset.vote) addToVotes(button);
    else if (button.dataset.sort) sortTable(place.querySelector("table"), button.closest("th"));
    else if (button.dataset.list === "five") toggleFive(place);
    else if (button.dataset.list === "csv" && csv) saveFile(new Blob([csv.csv], { type: "text/csv" }), csv.name);
  });
  element.addEventListener("input", (event) => {
    if (event.target.closest("[data-list]")) filterTable(element.querySelector("[data-run]"));
  });
  watch("value", () => {
    element.querySelector(".list-found.is-linked")?.remove();
    fill();
  });
  document.addEventListener("addressed", () => element.isConnected && fillByAddress());
  // The tab that was opened has the table of a list that ran before.
  whenShown(element, () => csv && showList(element.querySelector("[data-run]").dataset.run));
  fill();
  fillByAddress();
}
