/**
 * @file Adding documents from any tab: files dropped anywhere, the button beside the question, the line of progress.
 *
 * The files go to an upload button outside the tabs, which is always mounted, and so through the same checks as those of
 * the Library's box. Python makes all sentences but those about folders.
 */
import { openTabForAnswer } from "./addresses.js";
import { attachPicture } from "./compare.js";
import { searchIn, showNote, startUpload } from "./library.js";
import { askedFields } from "./tools.js";

/** Controls that take dropped files themselves. */
const OWN_BOXES = "#upload";
const LEFT_MS = 150;
const SILENT_MS = 900;
const MAX_FOLDER_FILES = 500;

const hint = () => document.querySelector(".drop-hint");
const addedFiles = () => document.querySelector('#adding-panel input[type="file"]');
const hasFiles = (event) => Boolean(event.dataTransfer?.types.includes("Files"));
const isPicture = (file) => file.type.startsWith("image/");

// ---- the hint while files are dragged over the page ----

/** Whether something of the page itself is dragged, such as a picture, which browsers offer as a file, too. */
let isOwnDrag = false;
let hiding;

function showHint(event) {
  const element = hint();
  if (!element) return;
  const pictures = [...event.dataTransfer.items].every((item) => item.type.startsWith("image/"));
  const question = document.querySelector("dialog[open]") ? null : document.querySelector("#ask:has(#picture)");
  const isOnQuestion = pictures && Boolean(question?.contains(event.target));
  element.classList.toggle("has-pictures", pictures && Boolean(question?.offsetParent));
  element.classList.toggle("is-on-question", isOnQuestion);
  question?.classList.toggle("is-dropping", isOnQuestion);
  // A popover lies above dialogs, too.
  if (element.showPopover && !element.matches(":popover-open")) element.showPopover();
  element.classList.add("is-shown");
  hideLater(SILENT_MS);
}

function hideHint() {
  clearTimeout(hiding);
  const element = hint();
  document.querySelector("#ask")?.classList.remove("is-dropping");
  element?.classList.remove("is-shown");
  if (element?.hidePopover && element.matches(":popover-open")) element.hidePopover();
}

/** Hide the hint unless files are dragged on: no event says in all browsers that they have left the window. */
function hideLater(delay) {
  clearTimeout(hiding);
  hiding = setTimeout(hideHint, delay);
}

function onDragOver(event) {
  if (isOwnDrag || !hasFiles(event)) return;
  showHint(event);
  if (event.target.closest?.(OWN_BOXES)) return;
  event.preventDefault(); // else the browser would open a dropped file in place of the page
  event.dataTransfer.dropEffect = "copy"; // with "none" there would be no drop to answer
}

function onDragLeave(event) {
  if (!event.relatedTarget && hasFiles(event)) hideLater(LEFT_MS);
}

// ---- dropped files ----

function onDrop(event) {
  const wasOwnDrag = isOwnDrag;
  isOwnDrag = false;
  if (wasOwnDrag || !hasFiles(event)) return;
  hideHint();
  const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const hasFolder = entries.some((entry) => entry.isDirectory);
  if (event.target.closest?.(OWN_BOXES) && !hasFolder) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  const isOnQuestion = Boolean(event.target.closest?.("#ask"));
  const files = [...event.dataTransfer.files];
  if (hasFolder) addFolders(entries);
  else dropFiles(files, isOnQuestion);
}

/** Search with a picture that was dropped on the question; add everything else. */
function dropFiles(files, isOnQuestion) {
  const picture = isOnQuestion && files.find(isPicture);
  const rest = picture && attachPicture([picture]) ? files.filter((file) => !isPicture(file)) : files;
  if (rest.length || !files.length) addFiles(rest);
}

/** Add files as if they had been chosen in the Library's box, which checks them and notes what cannot be sent. */
function addFiles(files, sentence = "No file arrived. Drop it again.") {
  const input = addedFiles();
  if (!input || !files.length) {
    startUpload(document.querySelector("#adding-panel"));
    showNote(input ? sentence : hint()?.dataset.closed);
    return;
  }
  const transfer = new DataTransfer();
  for (const file of files) transfer.items.add(file);
  input.files = transfer.files;
  input.dispatchEvent(new Event("change", { bubbles: true }));
}

async function addFolders(entries) {
  try {
    const files = [];
    for (const entry of entries) await collect(entry, files);
    addFiles(files, "That folder holds no files.");
  } catch {
    addFiles([], "That folder could not be read. Drop its files instead.");
  }
}

/** Append the files of a folder and of the folders in it, without hidden ones. */
async function collect(entry, files) {
  if (entry.name.startsWith(".") || files.length >= MAX_FOLDER_FILES) return;
  if (entry.isFile) {
    files.push(await new Promise((resolve, reject) => entry.file(resolve, reject)));
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) return;
    for (const inner of some) await collect(inner, files);
  }
}

// In the capture phase, so that no component of Gradio keeps a drop for itself.
addEventListener("dragstart", () => (isOwnDrag = true), true);
addEventListener("dragend", () => (isOwnDrag = false), true);
addEventListener("dragenter", onDragOver, true);
addEventListener("dragover", onDragOver, true);
addEventListener("dragleave", onDragLeave, true);
addEventListener("drop", onDrop, true);

// ---- the button beside the question ----

document.addEventListener("click", (event) => {
  const input = event.target.closest?.("#add") && addedFiles();
  if (!input) return;
  input.value = ""; // choosing the same file again is a change
  input.click();
});

// ---- the line of progress and the outcome ----

/** Move the focus to the question, or to the open tab: the button that had it is about to go. */
function leaveLine() {
  const box = document.querySelector("#query textarea");
  const tab = document.querySelector('#tabs [role="tab"][aria-selected="true"]');
  (box?.checkVisibility() ? box : tab)?.focus({ preventScroll: true });
}

/** Time in sight after which an outcome counts as seen, and after which it goes by itself. */
const SEEN_MS = 3_000;
const MAX_SHOWN_MS = 60_000;
const TICK_MS = 500;

/** The question on the screen, whatever its weights. */
function shownQuestion() {
  const { text, picture, scope } = JSON.parse(askedFields() || "{}");
  return JSON.stringify([text, picture, scope]);
}

/** Whether a visitor can see all of an element now. */
function isInSight(element) {
  const { top, bottom } = element.getBoundingClientRect();
  return document.visibilityState === "visible" && element.checkVisibility() && top >= 0 && bottom <= innerHeight;
}

/** Let an outcome go once it was seen, when another question is answered or after a while; not while it is used. */
function watchOutcome(element, onSeen) {
  let outcome = "";
  let question;
  let seen = 0;
  setInterval(() => {
    const added = element.querySelector(".added");
    if (added?.textContent !== outcome) {
      outcome = added?.textContent;
      question = shownQuestion();
      seen = 0;
    }
    if (!added) return;
    if (isInSight(added)) seen += TICK_MS;
    const isDue = seen >= MAX_SHOWN_MS || (seen >= SEEN_MS && shownQuestion() !== question);
    if (isDue && !added.matches(":hover, :has(:focus-visible)")) onSeen();
  }, TICK_MS);
}

/** Hook of the line below the head of the page. */
export function adding(element, trigger) {
  watchOutcome(element, () => trigger("clear", {}));
  element.addEventListener("click", (event) => {
    const { ask, adding: act, searchIn: scope } = event.target.closest("button")?.dataset ?? {};
    if (act === "stop") {
      event.target.disabled = true;
      trigger("stop", {});
    }
    if (act === "dismiss") trigger("clear", {});
    if (act) leaveLine();
    if (scope) searchIn(scope);
    if (!ask) return;
    openTabForAnswer("compare");
    trigger("select", { query: ask });
  });
}
