/**
 * @file The address of what is on the screen, and the browser's Back and Forward.
 *
 * What a visitor opens is a new entry of the history: a search, a tab, a page in the viewer, a document, a judged query or
 * list. Other weights, the first answer and the next page of the viewer change the current entry. An entry stores its
 * search in `history.state`, because the address leaves out an uploaded picture and the first example.
 */
import { address, make, openTab, tabButton } from "./tools.js";

const SEARCH_PARTS = ["q", "like", "in", "k", "lp", "ll", "sum", "words", "pooled", "late"];
const PLACE_PARTS = ["tab", "panel", "doc", "query", "list", "page", "at", "why"];
const TABS = new Set(["library", "judge", "hood"]);
const PANELS = new Set(["grade", "results", "queries"]);
/** Milliseconds until a search that Back or Forward sent is given up: a message on the page has said why. */
const GIVE_UP_MS = 15_000;
/** Milliseconds until the address is written even if the browser did not go back. */
const BACK_MS = 600;
/** How often one search is sent if answers to others arrive in its place. */
const MAX_RESTORES = 6;
const NO_PAGE = "That page is not among these results. It may have been deleted.";
const NO_DOCUMENT = "That document is not in this library. It may have been deleted.";

// ---- the entries of the history ----

const entry = () => history.state?.smartDemo ?? {};

/** Whether the browser is going back because a dialog was closed, and what to write after that. */
let isGoingBack = false;
let writes = [];
/** The query string of the entry that is shown. */
let lastQuery = location.search;

/** Write the address with these parts changed. `state` replaces that of the entry. A frame may forbid it. */
function write(changes, state, isNew) {
  if (isGoingBack) {
    writes.push([changes, state, isNew]);
    return;
  }
  const parts = address.read();
  for (const [name, value] of Object.entries(changes)) {
    if (value) parts.set(name, value);
    else parts.delete(name);
  }
  const stored = { ...history.state, smartDemo: state };
  try {
    if (isNew) history.pushState(stored, "", address.build(parts));
    else history.replaceState(stored, "", address.build(parts));
  } catch {
    // The page works without an address.
  }
  lastQuery = location.search;
}

const push = (changes, state) => write(changes, state, true);
const replace = (changes, state = entry()) => write(changes, state, false);

/** Take a part from the address because its dialog was closed: go back if opening it was an entry of its own. */
function leave(name, also = {}) {
  if (entry().opened !== name) {
    replace({ [name]: "", ...also });
    return;
  }
  isGoingBack = true;
  history.back();
  setTimeout(writeWaiting, BACK_MS);
}

function writeWaiting() {
  isGoingBack = false;
  const waiting = writes;
  writes = [];
  for (const one of waiting) write(...one);
}

// ---- the search ----

/** Starts an event of the results; null until they are mounted. */
let trigger = null;
/** The search that Back, Forward or a reload wants, as JSON, until the visitor does something else. */
let wanted = entry().asked ?? "";
let restores = 0;
let restoring = 0;
const shownAnswer = () => document.querySelector("#results [data-link]");
const shownSearch = () => shownAnswer()?.dataset.asked ?? "";

function restore() {
  if (!trigger || restoring || !wanted || shownSearch() === wanted || restores >= MAX_RESTORES) return;
  restores += 1;
  restoring = setTimeout(() => (restoring = 0), GIVE_UP_MS);
  trigger("apply", JSON.parse(wanted));
}

/** Return whether a search has another query or library; other weights and numbers of results are the same question. */
function isNewQuestion(before, after) {
  if (!before || !after) return true;
  const [one, other] = [before, after].map((fields) => JSON.parse(fields));
  return ["text", "picture", "scope"].some((name) => one[name] !== other[name]);
}

/** The search of the answer that was last looked at; empty if nothing is asked, null before the first answer. */
let seenSearch = null;

/** Gradio does not announce each of two answers that arrive at once, so every change of the page is looked at. */
function refreshAnswer() {
  const answer = shownAnswer();
  const { asked = "", link = "" } = answer?.dataset ?? {};
  if (!answer || asked === seenSearch) return;
  seenSearch = asked;
  clearTimeout(restoring);
  restoring = 0;
  if (wanted && asked !== wanted) {
    restore();
    return;
  }
  const { asked: before, joins, ...rest } = entry();
  if (before === asked && !joins) return;
  const isFirst = before === undefined;
  const next = Object.fromEntries(SEARCH_PARTS.map((name) => [name, ""]));
  const changes = isFirst || before === asked ? {} : { ...next, ...Object.fromEntries(new URLSearchParams(link)) };
  if (isFirst || joins || !isNewQuestion(before, asked)) replace(changes, { ...rest, asked });
  else push(changes, { asked });
}

/** Called for every answer on the screen, with the function that starts the events of the results. */
export function showAnswer(triggerOfResults) {
  trigger = triggerOfResults;
  refresh();
  if (shownAnswer()) restore();
}

/** Elements with which a visitor may ask for another answer, and those among them that only show more of this one. */
const ASKING = "button, input, textarea, label, a";
const SHOWING = '.card, [role="tab"], .viewer-tools, [data-why], [data-doc], .pair, .why';

/** What a visitor asks for now counts more than where Back or Forward led. */
function onVisitor(event) {
  if (!event.isTrusted) return;
  const isGiving = event.type === "drop" || event.type === "paste";
  if (isGiving || (event.target.closest?.(ASKING) && !event.target.closest(SHOWING))) {
    wanted = "";
    endJoin();
  }
  if (event.target.closest?.('[role="tab"], .overflow-menu')) target = null;
}

for (const name of ["pointerdown", "keydown", "drop", "paste"]) addEventListener(name, onVisitor, true);

// ---- tabs ----

/** The tab and panel to open, until they are open. */
let target = null;
/** Whether the answer that follows belongs to the entry of the tab that opens now. */
let joinsTab = false;

/** Open a tab for an answer that is on its way: both are one entry. */
export function openTabForAnswer(id) {
  joinsTab = tabButton(id)?.getAttribute("aria-selected") !== "true";
  openTab(id);
}

/** The answer that joins the entry of its tab has arrived. It may be the one that was on the screen before. */
function endJoin() {
  const { joins, ...state } = entry();
  if (joins) replace({}, state);
}

document.addEventListener("answered", endJoin);

/** Return the tab and the panel in parts of an address; both are empty for Compare, the panel for Vote. */
function placeOf(parts) {
  const [tab, panel] = [parts.get("tab"), parts.get("panel")];
  return { tab: TABS.has(tab) ? tab : "", panel: tab === "judge" && PANELS.has(panel) ? panel : "" };
}

/** Return the tab and the panel on the screen, or null before there are tabs. */
function shownPlace() {
  const ids = [...document.querySelectorAll('#tabs [role="tab"][aria-selected="true"]')].map(
    (tab) => tab.dataset.tabId,
  );
  const top = ids.find((id) => id === "compare" || TABS.has(id));
  if (!top) return null;
  const tab = top === "compare" ? "" : top;
  const panel = ids.find((id) => id?.startsWith("judge-"))?.slice("judge-".length);
  return { tab, panel: tab === "judge" && PANELS.has(panel) ? panel : "" };
}

const isSamePlace = (one, other) => one.tab === other.tab && one.panel === other.panel;

function openTarget(shown) {
  if (isSamePlace(shown, target)) target = null;
  else if (shown.tab !== target.tab) openTab(target.tab || "compare");
  else openTab(`judge-${target.panel || "vote"}`);
}

function refreshTabs() {
  const shown = shownPlace();
  if (!shown) return;
  if (target) {
    openTarget(shown);
    return;
  }
  if (isSamePlace(shown, placeOf(address.read()))) return;
  const { opened: _, joins: __, ...state } = entry();
  if (joinsTab) state.joins = true;
  joinsTab = false;
  push({ ...shown, doc: "", query: "", list: "" }, state);
  removeNotes();
}

// ---- the page in the viewer, and Why? ----

/** The page, and the page of Why?, to open with the answer; empty if there is none or it was looked for. */
let wantedPage = "";
/** The page open in the viewer, or an empty string. */
let viewedPage = "";
let wantedPair = "";
let openPair = () => {};

/** Take the function that opens Why? on a page. */
export function connectPairs(open) {
  openPair = open;
}

/** Write the page in the viewer into the address; an empty one means that the viewer was closed. */
export function showPage(page) {
  viewedPage = page;
  const before = address.page();
  if (page === before) return;
  if (!page) leave("page", { at: "" });
  else if (before) replace({ page, at: "" });
  else push({ page }, { asked: entry().asked, opened: "page" });
}

/** Write the page of Why? into the address; an empty one means that its dialog was closed. */
export function showPair(page) {
  const before = address.read().get("why") ?? "";
  if (page === before) return;
  if (!page) leave("why");
  else push({ why: page }, { asked: entry().asked, opened: "why" });
}

function openWanted() {
  const answer = shownAnswer();
  if (!(wantedPage || wantedPair) || !answer || target) return;
  if (wanted && answer.dataset.asked !== wanted && restores < MAX_RESTORES) return;
  const cardOf = (page) => [...answer.querySelectorAll(".card")].filter((card) => card.dataset.page === page).at(-1);
  const [page, pair] = [wantedPage, wantedPair];
  wantedPage = wantedPair = "";
  const [card, compared] = [cardOf(page), cardOf(pair)];
  if (page && !card) replace({ page: "", at: "" });
  if (pair && !compared) replace({ why: "" });
  if ((page && !card) || (pair && !compared)) noteAfter(answer.querySelector(".verdict, h2") ?? answer, NO_PAGE);
  card?.click();
  if (compared) openPair(pair, compared);
}

// ---- slides ----

/** Return the search that the entry of the history stores, as JSON, or an empty string. */
export const storedSearch = () => entry().asked ?? "";

/** Write a slide and the search it presents into the address. Opening a presentation is an entry of its own. */
export function showSlide(slide, link, asked, isOpening) {
  if (asked !== wanted) wanted = "";
  const next = Object.fromEntries([...SEARCH_PARTS, ...PLACE_PARTS].map((name) => [name, ""]));
  const changes = { ...next, ...Object.fromEntries(new URLSearchParams(link)), present: String(slide) };
  if (isOpening) push(changes, { asked, opened: "present" });
  else replace(changes, { ...entry(), asked });
}

/** Take the slide from the address because the presentation was left. */
export function leaveSlides() {
  wanted = "";
  leave("present");
}

// ---- notes ----

function noteAfter(place, sentence) {
  removeNotes();
  place.after(make("p", { class: "notice address-note", role: "status" }, sentence));
}

function removeNotes() {
  for (const note of document.querySelectorAll(".address-note")) note.remove();
}

// ---- documents of the library ----

/** The document that was scrolled to. */
let scrolledTo = "";

function refreshDocument() {
  const doc = address.read().get("doc") ?? "";
  for (const row of document.querySelectorAll("[data-doc][aria-current]")) {
    if (row.dataset.doc === doc) continue;
    row.removeAttribute("aria-current");
    row.querySelector(".copy-document")?.remove();
  }
  if (!doc) scrolledTo = "";
  const panel = document.querySelector("#documents-panel");
  if (!doc || target || !panel) return;
  const row = document.querySelector(`[data-doc="${CSS.escape(doc)}"]`);
  if (row) markDocument(row);
  else if (isListed(panel, doc) && !panel.querySelector(".address-note")) noteMissingDocument(panel);
}

function markDocument(row) {
  if (row.getAttribute("aria-current") !== "true") {
    document.querySelector("#documents-panel > .address-note")?.remove();
    row.setAttribute("aria-current", "true");
    const button = make("button", { type: "button", class: "copy-document", "data-share": "copy" }, "Copy link");
    row.querySelector(".document-name").append(button);
  }
  if (scrolledTo === row.dataset.doc || !row.checkVisibility()) return;
  scrolledTo = row.dataset.doc;
  row.scrollIntoView({ behavior: "instant", block: "nearest" });
  row.querySelector("a").focus({ preventScroll: true });
}

/** Return whether the list that would have a document is complete. */
function isListed(panel, doc) {
  const own = panel.querySelector("#documents");
  const list = own && doc.startsWith("local/") ? own : panel.querySelector("#sample-documents");
  return Boolean(list?.querySelector(".panel-head")) && !list.querySelector("[data-pending]");
}

function noteMissingDocument(panel) {
  removeNotes();
  panel.prepend(make("p", { class: "notice address-note", role: "status" }, NO_DOCUMENT));
}

// ---- judged queries and lists ----

/** Return the judged query in the address if a panel of this name is to show it. */
export function queryFor(panel) {
  const parts = address.read();
  const { tab, panel: now } = placeOf(parts);
  return tab === "judge" && (now || "vote") === panel ? (parts.get("query") ?? "") : "";
}

/** Write the query that a panel shows into the address. */
export function showQuery(panel, query) {
  const parts = address.read();
  const { tab, panel: now } = placeOf(parts);
  const before = parts.get("query") ?? "";
  if (tab !== "judge" || (now || "vote") !== panel || query === before) return;
  const { asked } = entry();
  if (query && before) push({ query }, { asked });
  else replace({ query });
}

/** Return the list in the address. */
export const listInAddress = () => address.read().get("list") ?? "";

/** Write the list whose results are shown into the address. */
export function showList(list) {
  const before = listInAddress();
  if (list === before || placeOf(address.read()).panel !== "queries") return;
  if (before) push({ list }, { asked: entry().asked });
  else replace({ list });
}

// ---- links, Back and Forward ----

/** Return the link to the document on the screen, or an empty string. */
export function documentLink() {
  const parts = new URLSearchParams();
  const doc = address.read().get("doc");
  if (!doc) return "";
  parts.set("tab", "library");
  parts.set("doc", doc);
  return `${location.origin}${address.build(parts)}`;
}

/** Return whether a click follows a link in this tab, so that a script may do it instead. */
export const isPlainClick = (event) =>
  event.button === 0 && !(event.ctrlKey || event.metaKey || event.shiftKey || event.altKey);

/** Open what a link to another place of this page names. */
function followLink(event) {
  const link = event.target.closest?.("a[data-address]");
  if (!link || !isPlainClick(event)) return;
  event.preventDefault();
  const next = new URLSearchParams(link.search);
  const changes = Object.fromEntries(PLACE_PARTS.map((name) => [name, next.get(name) ?? ""]));
  const now = address.read();
  scrolledTo = "";
  if (PLACE_PARTS.some((name) => (now.get(name) ?? "") !== changes[name])) push(changes, { asked: entry().asked });
  follow();
}

/** Show what the address says. */
function follow() {
  const parts = address.read();
  target = placeOf(parts);
  wantedPage = address.page();
  wantedPair = parts.get("why") ?? "";
  removeNotes();
  for (const dialog of document.querySelectorAll("dialog:is(.viewer, .pair, .confirm, .outcomes-dialog)[open]")) {
    const isBlind = dialog.matches(".is-blind");
    const stays = (wantedPage && dialog.matches(".viewer") && !isBlind) || (wantedPair && dialog.matches(".pair"));
    if (!stays) dialog.close();
    else if (dialog.matches(".pair")) wantedPair = "";
    else if (wantedPage === viewedPage && storedSearch() === shownSearch()) wantedPage = ""; // it keeps its focus
  }
  refresh();
  document.dispatchEvent(new CustomEvent("addressed"));
}

function onPopState() {
  const wasOurs = isGoingBack;
  if (wasOurs) writeWaiting();
  const { asked } = entry();
  if (asked === undefined && location.search === lastQuery) {
    replace({}, { asked: shownSearch() || undefined }); // a link to a part of this page
    return;
  }
  if (!asked) {
    location.reload(); // the server answers what the entry does not store
    return;
  }
  lastQuery = location.search;
  if (!wasOurs) {
    wanted = asked;
    restores = 0;
    restore();
  }
  follow();
}

/** Tabs come first: an answer may join the entry of the tab that opened for it. */
function refresh() {
  refreshTabs();
  refreshAnswer();
  refreshDocument();
  openWanted();
}

const WATCHED = { childList: true, subtree: true, attributes: true, attributeFilter: ["aria-selected", "data-asked"] };
let isScheduled = false;

/** Gradio changes the page in many steps; one look before the next frame is enough. */
function scheduleRefresh() {
  if (isScheduled) return;
  isScheduled = true;
  requestAnimationFrame(() => {
    isScheduled = false;
    refresh();
  });
}

new MutationObserver(scheduleRefresh).observe(document, WATCHED);

addEventListener("popstate", onPopState);
document.addEventListener("click", followLink);
follow();
