/**
 * @file The tab Compare, and what is done with its answer: links, the saved file, and the tab Under the hood. Python
 * makes and escapes all markup.
 */
import { connectPairs, documentLink, showAnswer, showPage } from "./addresses.js";
import { offerEvidence } from "./crops.js";
import { address, answerOf, askedFields, copyText, make, prefersCalm, saveFile, whenShown } from "./tools.js";
import { offerSlides } from "./slides.js";
import { markPage, offerPairs, openPage } from "./viewer.js";

/** The server functions of the mounted results, for saving a comparison. */
let resultsServer;

// ---- cards that move to their new ranks when the weights change ----

/** Offsets of the cards of the last answer, by side and page. */
let lastPlaces = new Map();
let lastQuery;

function moveCards(root) {
  const query = root.querySelector(".answer")?.dataset.query;
  const cards = [...root.querySelectorAll(".card")];
  const places = new Map(cards.map((card) => [cardKey(card), card.parentElement.offsetTop]));
  if (!prefersCalm()) {
    for (const card of cards) animate(card.parentElement, lastPlaces.get(cardKey(card)), query === lastQuery);
  }
  lastPlaces = places;
  lastQuery = query;
}

const cardKey = (card) => `${card.dataset.side} ${card.dataset.page}`;

function animate(row, before, sameQuery) {
  if (before === undefined) {
    if (sameQuery) row.animate([{ opacity: 0 }, { opacity: 1 }], { duration: 320 });
    return;
  }
  const distance = before - row.offsetTop;
  if (!distance) return;
  const steps = [{ transform: `translateY(${distance}px)` }, { transform: "none" }];
  row.animate(steps, { duration: 420, easing: "cubic-bezier(.2,.8,.2,1)" });
}

// ---- the results ----

/** Move the focus between cards: up and down in a column, left and right to the same page or rank in the other. */
function focusNextCard(element, card, event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  const side = { ArrowRight: "right", ArrowLeft: "left" }[event.key];
  if (!step && !side) return;
  const column = [...element.querySelectorAll(`.card[data-side="${side ?? card.dataset.side}"]`)];
  const rank = [...card.closest(".ranking").children].indexOf(card.parentElement);
  const samePage = column.find((other) => other.dataset.page === card.dataset.page);
  const next = side ? (samePage ?? column[rank]) : column[rank + step];
  if (!next) return;
  event.preventDefault();
  next.focus();
}

/** On a phone the columns are side by side in a strip: the first page of a column brings it into the window. */
function showColumn(event) {
  const side = event.target.closest("[data-column]")?.dataset.column;
  if (!side) return;
  const behavior = prefersCalm() ? "auto" : "smooth";
  const head = event.currentTarget.querySelector(`.column-head.of-${side}`);
  head.scrollIntoView({ behavior, block: "nearest", inline: "start" });
}

/** Mark the first page of the column that is in the window of a phone. */
function markShownColumn() {
  const strip = document.querySelector(".answer .columns");
  if (!strip) return;
  const shown = strip.scrollLeft * 2 > strip.scrollWidth - strip.clientWidth ? "right" : "left";
  for (const button of document.querySelectorAll("[data-column]")) {
    setState(button, "aria-pressed", button.dataset.column === shown);
  }
}

/** Hook of the results. */
export function results(element, server, watch, trigger) {
  resultsServer = server;
  const onCard = (name, act) =>
    element.addEventListener(name, (event) => {
      const card = event.target.closest?.(".card");
      if (card) act(card, event);
    });
  for (const name of ["pointerover", "focusin"]) onCard(name, (card) => markPage(element, card.dataset.page));
  for (const name of ["pointerout", "focusout"]) onCard(name, () => markPage(element, ""));
  onCard("click", (card) => openPage(element, card, server, trigger));
  onCard("keydown", (card, event) => focusNextCard(element, card, event));
  element.addEventListener("click", showColumn);
  element.addEventListener("scroll", markShownColumn, { capture: true, passive: true });
  connectPairs(offerPairs(element, server));
  offerEvidence(element, server);
  offerSlides(server);
  const update = () => {
    moveCards(element);
    showAnswer(trigger);
    updateToggles();
  };
  watch("value", () => {
    document.documentElement.classList.remove("is-linked");
    update();
    noteOwnQuestion(element);
    document.dispatchEvent(new CustomEvent("answered"));
    requestAnimationFrame(() => searchInChosenScope(trigger));
  });
  if (!document.documentElement.classList.contains("is-linked")) update();
}

// ---- Tune, whose closed form is the formula above the right column ----

const { look } = window.smartDemo;
const isTuning = () => document.documentElement.classList.contains("is-tuning");

function setTuning(on) {
  document.documentElement.classList.toggle("is-tuning", on);
  updateToggles();
}

/** Mark the state of the buttons of an answer, which comes without it: writing it again removes the attributes. */
function updateToggles() {
  const { pageSize } = document.documentElement.dataset;
  markShownColumn();
  for (const button of document.querySelectorAll("[data-tune]")) setState(button, "aria-expanded", isTuning());
  for (const button of document.querySelectorAll("[data-size]")) {
    setState(button, "aria-pressed", button.dataset.size === pageSize);
  }
}

/** Set an attribute only if it changes, because a change of it is looked at again. */
function setState(button, name, isOn) {
  if (button.getAttribute(name) !== String(isOn)) button.setAttribute(name, isOn);
}

document.addEventListener("click", (event) => {
  const size = event.target.closest?.("[data-size]")?.dataset.size;
  if (size) {
    look.choosePageSize(size);
    updateToggles();
  }
  if (event.target.closest?.("[data-tune]")) setTuning(!isTuning());
});

/** Drop the promise of the page after the first question that is no example. */
function noteOwnQuestion(root) {
  const asked = root.querySelector(".answer")?.dataset.asked;
  const isExample = (text) =>
    [...document.querySelectorAll("#examples .chip")].some((chip) => chip.dataset.query === text);
  if (asked && !isExample(JSON.parse(asked).text)) look.markAsked();
}

// ---- a scope chosen before the first answer ----

let hasAnswer = false;
let isScopeChosen = false;

document.addEventListener("change", (event) => {
  if (event.target.closest?.("#scope")) isScopeChosen = true;
});

/** Search for the first answer's query in the scope that the visitor chose before there was a query to search for. */
function searchInChosenScope(trigger) {
  if (!hasAnswer && isScopeChosen) trigger("input");
  hasAnswer = true;
}

// ---- values out of range ----

/** Put a number that is typed into a slider's box into its range before Gradio reads it: the server refuses others. */
function clampTyped(event) {
  const box = event.target.closest?.('#controls input[type="number"]');
  if (!box || box.value === "") return;
  const value = Math.min(Math.max(Number(box.value), Number(box.min)), Number(box.max));
  if (value !== Number(box.value)) box.value = String(value);
}

document.addEventListener("input", clampTyped, true);

// ---- the query ----

const queryBox = () => document.querySelector("#query textarea");
const pictureInput = () => document.querySelector('#ask input[type="file"]');
let usualPlaceholder;

/** Hook of the examples. */
export function chips(element, trigger) {
  element.addEventListener("click", (event) => {
    const chip = event.target.closest(".chip");
    if (chip) trigger("select", { query: chip.dataset.query });
  });
  element.addEventListener("wheel", scrollSideways, { passive: false });
}

/** Pixels of a line, in which some browsers count the turns of a wheel. */
const LINE = 18;

/** Scroll the examples with a wheel that only turns up and down. At their end the page scrolls on. */
function scrollSideways(event) {
  const chips = event.target.closest(".chips");
  if (!chips || event.deltaX || event.ctrlKey || event.shiftKey) return;
  const before = chips.scrollLeft;
  chips.scrollLeft += event.deltaY * (event.deltaMode ? LINE : 1);
  if (chips.scrollLeft !== before) event.preventDefault();
}

function updatePlaceholder(element) {
  const box = queryBox();
  if (!box) return;
  usualPlaceholder ??= box.placeholder;
  const hasPicture = element.querySelector(".like");
  box.placeholder = hasPicture ? "Add words, or search with the picture alone" : usualPlaceholder;
}

/** Hook of the query's picture: a button removes it. */
export function like(element, trigger, watch) {
  element.addEventListener("click", (event) => {
    if (!event.target.closest(".like-drop")) return;
    trigger("clear", {});
    queryBox()?.focus();
  });
  watch("value", () => updatePlaceholder(element));
  updatePlaceholder(element);
}

/** Search with the first picture among the files, if there is one. */
export function attachPicture(files) {
  const picture = [...(files ?? [])].find((file) => file.type.startsWith("image/"));
  const input = pictureInput();
  if (!picture || !input) return false;
  const transfer = new DataTransfer();
  transfer.items.add(picture);
  input.files = transfer.files;
  input.dispatchEvent(new Event("change", { bubbles: true }));
  return true;
}

document.addEventListener("paste", (event) => {
  if (event.target.closest?.("#ask") && attachPicture(event.clipboardData?.files)) event.preventDefault();
});

/** With this attribute a phone offers its camera. The server decides by the bytes what a file is. */
function acceptPictures(event) {
  if (event.target.closest?.("#picture")) pictureInput()?.setAttribute("accept", "image/*");
}

document.addEventListener("click", acceptPictures, true);

// ---- keys and links of the whole page ----

/** Open the section that a link names. */
function openSection(event) {
  const link = event.target.closest?.("[data-open]");
  const section = link && document.getElementById(link.dataset.open);
  if (!section) return;
  event.preventDefault();
  section.open = true;
  section.scrollIntoView({ behavior: prefersCalm() ? "auto" : "smooth", block: "start" });
  section.querySelector("summary").focus({ preventScroll: true });
}

/** The key "/" goes to the query. */
function focusQuery(event) {
  if (event.key !== "/" || event.target.closest("input, textarea, dialog")) return;
  const box = queryBox();
  if (!box) return;
  event.preventDefault();
  box.focus();
  box.select();
}

document.addEventListener("click", openSection);
document.addEventListener("keydown", focusQuery);

// ---- the answer on the screen: the page of its story, its preset, the page that the address names ----

function updateAnswer() {
  const storyPage = document.querySelector(".story")?.dataset.storyPage;
  for (const node of document.querySelectorAll(".answer [data-page]")) {
    node.classList.toggle("is-story-page", node.dataset.page === storyPage);
  }
  const answer = document.querySelector(".answer[data-link]");
  if (!answer) return;
  updatePresets(new URLSearchParams(answer.dataset.link));
  updateToggles();
}

/** Mark the preset whose weights the answer has. */
function updatePresets(asked) {
  const isPaperForm = !asked.has("sum") && !asked.has("words");
  for (const preset of document.querySelectorAll("#presets button")) {
    const [pooled, late] = preset.id.split("-").slice(1);
    const isShown = isPaperForm && asked.get("lp") === pooled && asked.get("ll") === late;
    setState(preset, "aria-pressed", isShown);
  }
}

let isScheduled = false;
new MutationObserver(() => {
  if (isScheduled) return;
  isScheduled = true;
  requestAnimationFrame(() => {
    isScheduled = false;
    updateAnswer();
  });
}).observe(document, { childList: true, subtree: true, attributeFilter: ["aria-pressed", "aria-expanded"] });

// ---- the link to the answer on the screen ----

const LABEL_MS = 2400;
const LONG_LABEL_MS = 6000;
/** The page open in the viewer, or an empty string. */
let viewedPage = "";

function answerLink() {
  const view = new URLSearchParams(document.querySelector(".answer")?.dataset.link ?? "");
  if (viewedPage) view.set("page", viewedPage);
  return `${location.origin}${address.build(view)}`;
}

/** On a public page, a link to the visitor's own documents works only for that visitor, and the label says so. */
function copiedLabel(link) {
  const parts = [...new URL(link).searchParams];
  const isOwn = parts.some(([name, value]) => (name === "in" && value !== "Samples") || value.startsWith("local/"));
  return (isOwn && document.querySelector(".share")?.dataset.own) || "Link copied";
}

function showLinkLabel(button, text) {
  const announce = (said) => {
    for (const node of document.querySelectorAll(".share-said")) node.textContent = said;
  };
  button.textContent = text;
  button.classList.add("is-said");
  announce(text);
  setTimeout(
    () => {
      button.textContent = "Copy link";
      button.classList.remove("is-said");
      announce("");
    },
    text.length > 40 ? LONG_LABEL_MS : LABEL_MS,
  );
}

/** Copy the link. An uploaded picture is temporary and private to its visitor, so the link has the words alone. */
async function copyLink(button) {
  if (button.closest("[data-doc]")) {
    const link = documentLink();
    showLinkLabel(button, (await copyText(link, button)) ? copiedLabel(link) : "Copy it from the address bar");
    return;
  }
  const { text = "", picture = "" } = JSON.parse(document.querySelector(".answer")?.dataset.asked || "{}");
  const leavesOutPicture = picture.startsWith("kept:");
  if (leavesOutPicture && !text.trim()) {
    showLinkLabel(button, "An uploaded picture has no link");
    return;
  }
  const link = answerLink();
  if (!(await copyText(link, button))) showLinkLabel(button, "Copy it from the address bar");
  else showLinkLabel(button, leavesOutPicture ? "Link copied, without the picture" : copiedLabel(link));
}

/** Write the page in view into the address, and offer its link in the viewer. */
function onViewing(event) {
  viewedPage = event.detail;
  showPage(viewedPage);
  const tools = document.querySelector("dialog.viewer:not(.is-blind) .viewer-tools");
  if (!tools || tools.querySelector('[data-share="copy"]')) return;
  const button = make("button", { type: "button", "data-share": "copy" }, "Copy link");
  tools.querySelector('[data-do="close"]').before(button);
}

document.addEventListener("viewing", onViewing);
document.addEventListener("click", (event) => {
  const button = event.target.closest?.('[data-share="copy"]');
  if (button) copyLink(button);
});

// ---- saving the comparison: Python makes a web page, and the picture is drawn here from it ----

const PICTURE_WIDTH = 1920;
const PICTURE_HEIGHT = 1080;
const NO_PICTURE = "This browser cannot draw the picture. Save the web page instead: it shows the same.";
const saveMenu = () => document.querySelector("#save-choices");
const saveButton = () => document.querySelector('[data-share="save"]');

function toggleSaveMenu(on) {
  if (!saveMenu() || saveMenu().hidden === !on) return;
  saveMenu().hidden = !on;
  saveButton().setAttribute("aria-expanded", String(on));
  showSaveStatus("");
}

function showSaveStatus(text) {
  saveMenu().querySelector(".save-said").textContent = text;
}

async function saveComparison(format) {
  if (saveMenu().ariaBusy === "true") return;
  saveMenu().ariaBusy = "true";
  showSaveStatus("Saving…");
  try {
    showSaveStatus(await saveAs(format));
  } finally {
    saveMenu().ariaBusy = "false";
  }
}

/** Save the comparison, and return the sentence that says so or why not. */
async function saveAs(format) {
  const asked = askedFields();
  if (!asked) return "There is no answer to save yet. Search first.";
  const question = { asked: JSON.parse(asked), at: location.origin + location.pathname };
  const answer = await answerOf(() => resultsServer.comparison(question));
  if (answer.sentence) return answer.sentence;
  const isPicture = format === "picture";
  const file = isPicture
    ? await drawPicture(answer.page).catch(() => null)
    : new Blob([answer.page], { type: "text/html" });
  if (!file) return NO_PICTURE;
  const name = `${answer.name}.${isPicture ? "png" : "html"}`;
  saveFile(file, name);
  return `Saved as ${name}`;
}

/**
 * Draw the sheet of a saved page on a canvas. Parsing the page runs no script in it. Some browsers draw nothing instead of
 * failing, so a blank picture is an error.
 */
async function drawPicture(page) {
  const parsed = new DOMParser().parseFromString(page, "text/html");
  const sheet = parsed.querySelector(".sheet");
  sheet.classList.add("is-picture");
  const whole = parsed.createElement("div");
  whole.append(parsed.querySelector("style"), sheet);
  const size = `width="${PICTURE_WIDTH}" height="${PICTURE_HEIGHT}"`;
  const content = `<foreignObject ${size}>${new XMLSerializer().serializeToString(whole)}</foreignObject>`;
  const drawing = `<svg xmlns="http://www.w3.org/2000/svg" ${size}>${content}</svg>`;
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(drawing)}`;
  await image.decode();
  const canvas = Object.assign(make("canvas"), { width: PICTURE_WIDTH, height: PICTURE_HEIGHT });
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  const top = context.getImageData(0, 0, PICTURE_WIDTH, 240).data;
  if (top.every((part, at) => part === top[at % 4])) throw new Error("blank");
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

document.addEventListener("click", (event) => {
  const choice = event.target.closest?.("[data-save]");
  if (choice) saveComparison(choice.dataset.save);
  else if (event.target.closest?.('[data-share="save"]')) toggleSaveMenu(saveMenu().hidden);
  else if (!event.target.closest?.("#save-choices")) toggleSaveMenu(false);
});
document.addEventListener(
  "keydown",
  (event) => {
    if (event.key !== "Escape" || !saveMenu() || saveMenu().hidden) return;
    event.preventDefault();
    event.stopPropagation();
    toggleSaveMenu(false);
    saveButton().focus();
  },
  true,
);

// ---- Under the hood: costs, code, scores and environment of the answer on the screen ----

/** Address of the page in code examples, whose strings are in single quotes. */
const codeAddress = () => `${location.origin}${location.pathname.replace(/\/?$/, "/").replaceAll("'", "%27")}`;

/** Return the request of the answer on the screen, or the chosen library if there is no answer. */
function askedRequest() {
  const fields = askedFields();
  return fields ? JSON.parse(fields) : { scope: document.querySelector("#scope input:checked")?.value };
}

function showButtonLabel(button, text) {
  const usual = (button.dataset.usual ??= button.textContent);
  button.textContent = text;
  setTimeout(() => {
    button.textContent = usual;
  }, LABEL_MS);
}

/** Hook of the tab Under the hood. */
export function hood(element, server) {
  const find = (selector) => element.querySelector(selector);
  /** What is shown, by the name of its place; also what is copied and downloaded. */
  const texts = new Map();
  let requests = 0;

  function fillMarkup(name, markup) {
    if (texts.get(name) === markup) return;
    texts.set(name, markup);
    find(`[data-fill="${name}"]`).innerHTML = markup;
  }

  function setCode(name, pieces) {
    const text = pieces.map((piece) => piece ?? codeAddress()).join("");
    texts.set(name, text);
    for (const place of element.querySelectorAll(`[data-code="${name}"]`)) place.textContent = text;
  }

  function showError(text) {
    const note = find(".hood-trouble");
    note.textContent = text;
    note.hidden = !text;
  }

  function showProgram(program) {
    for (const [part, isThere] of [
      ["code", program.python],
      ["scores", program.scores],
    ]) {
      const body = find(`.hood-body.is-${part}`);
      body.classList.toggle("is-unasked", !isThere);
      body.querySelector(".hood-unasked").textContent = isThere ? "" : program.sentence;
    }
    if (program.scores) setCode("scores", [program.scores]);
    if (!program.python) return;
    for (const name of ["python", "curl", "shell"]) setCode(name, program[name]);
    for (const name of ["differences", "shell_differences"]) {
      find(`[data-notes="${name}"]`).replaceChildren(...program[name].map((sentence) => make("li", {}, sentence)));
    }
  }

  async function refresh() {
    const request = ++requests;
    const silent = "The figures could not be fetched. Is the demo still running?";
    const answer = await answerOf(() => server.hood(askedRequest()), silent);
    if (request !== requests) return;
    find(".hood").setAttribute("aria-busy", "false");
    showError(answer.sentence ?? "");
    if (answer.sentence) return;
    fillMarkup("costs", answer.costs);
    fillMarkup("environment", answer.environment);
    showProgram(answer.program);
  }

  async function copyOrDownload(event) {
    const button = event.target.closest("[data-copy], [data-download]");
    const text = button && texts.get(button.dataset.copy ?? button.dataset.download);
    if (!text) return;
    if (!button.dataset.copy) {
      saveFile(new Blob([text], { type: "application/json" }), "smart-scores.json");
      return;
    }
    const copied = await copyText(text, button);
    showButtonLabel(button, copied ? "Copied" : "Select and copy the text");
  }

  setCode("mcp", [null, "gradio_api/mcp/"]);
  element.addEventListener("click", copyOrDownload);
  const isVisible = whenShown(element, refresh);
  document.addEventListener("answered", () => isVisible() && element.isConnected && refresh());
}
