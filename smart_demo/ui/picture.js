/* The picture that a question carries: taking it away, and giving one by dropping or pasting it where words are asked. */
(() => {
  "use strict";
  const box = () => document.querySelector("#query textarea, #query input");
  const chooser = () => document.querySelector('#ask input[type="file"]');
  let usual;

  function invite(element) {
    const asking = box();
    if (!asking) return;
    usual ??= asking.placeholder;
    asking.placeholder = element.querySelector(".like") ? "Add words, or search with the picture alone" : usual;
  }

  window.smartDemo.like = (element, trigger, watch) => {
    element.addEventListener("click", (event) => {
      if (!event.target.closest(".like-drop")) return;
      trigger("clear", {});
      box()?.focus();
    });
    watch("value", () => invite(element));
    invite(element);
  };

  /* A phone offers its camera where pictures are asked for; what a file is, its bytes decide. */
  document.addEventListener("click", (event) => {
    if (event.target.closest?.("#picture")) chooser()?.setAttribute("accept", "image/*");
  }, true);

  function give(files) {
    const picture = [...(files ?? [])].find((file) => file.type.startsWith("image/")), input = chooser();
    if (!picture || !input) return false;
    const carried = new DataTransfer();
    carried.items.add(picture);
    input.files = carried.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
    return true;
  }

  document.addEventListener("paste", (event) => {
    if (event.target.closest?.("#ask") && give(event.clipboardData?.files)) event.preventDefault();
  });
  for (const name of ["dragover", "dragleave", "drop"]) document.addEventListener(name, (event) => {
    const row = event.target.closest?.("#ask");
    if (!row || !chooser() || !event.dataTransfer?.types.includes("Files")) return;
    row.classList.toggle("is-dropping", name === "dragover");
    if (name === "dragleave") return;
    event.preventDefault();
    if (name === "drop") give(event.dataTransfer.files);
  });
})();
