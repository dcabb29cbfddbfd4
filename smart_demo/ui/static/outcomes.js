/**
 * @file How often the right ranking is better: the line on Compare, and a dialog with the judged questions behind each
 * number. Python makes and escapes the markup.
 */
import { answerOf, askedFields, closeOnBackdrop, make, openTab, stage } from "./tools.js";

const FIRST_DELAY_MS = 1500;
const MAX_DELAY_MS = 8000;

/** Hook of the line. Its value holds one line for each library; the one of the library in use is shown. */
export function outcomes(element, server, watch, trigger) {
  let delay = FIRST_DELAY_MS;
  let timer = 0;

  function show() {
    const fields = askedFields();
    const scope = fields && JSON.parse(fields).scope;
    for (const line of element.querySelectorAll(".outcomes")) line.hidden = line.dataset.scope !== scope;
    const hasLine = element.querySelector(".outcomes:not([hidden])") !== null;
    element.classList.toggle("has-no-outcomes", Boolean(scope) && !hasLine);
  }

  /** Ask again while outcomes are computed, each time after a longer pause. */
  function onValue() {
    show();
    clearTimeout(timer);
    if (!element.querySelector("[data-turn]")) return;
    timer = setTimeout(() => element.isConnected && trigger("input"), delay);
    delay = Math.min(delay * 1.5, MAX_DELAY_MS);
  }

  element.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-kind]");
    if (button) openList(button, server, trigger);
  });
  const onJudged = () => {
    if (!element.isConnected) return document.removeEventListener("judged", onJudged);
    delay = FIRST_DELAY_MS;
    trigger("input");
  };
  document.addEventListener("judged", onJudged);
  document.addEventListener("answered", show);
  watch("value", onValue);
  onValue();
}

/** Open the questions behind a number. */
async function openList(button, server, trigger) {
  const { scope, kind } = button.dataset;
  const body = make(
    "div",
    { class: "outcomes-body" },
    make("p", { role: "status", id: "outcomes-title" }, "Loading …"),
  );
  const close = make("button", { type: "button", class: "outcomes-close", "aria-label": "Close" }, "✕");
  const dialog = make("dialog", { class: "outcomes-dialog", "aria-labelledby": "outcomes-title" }, close, body);
  close.addEventListener("click", () => dialog.close());
  closeOnBackdrop(dialog);
  dialog.addEventListener("close", () => {
    dialog.remove();
    if (button.isConnected) button.focus();
  });
  dialog.addEventListener("click", (event) => {
    const question = event.target.closest("button[data-reopen]");
    if (!question) return;
    dialog.close();
    trigger("select", JSON.parse(question.dataset.reopen));
    openTab("compare");
  });
  stage().append(dialog);
  dialog.showModal();
  const answer = await answerOf(() => server.outcomes({ scope, kind }));
  if (answer.list) body.innerHTML = answer.list;
  else body.replaceChildren(make("p", { role: "alert", id: "outcomes-title" }, answer.sentence));
}
