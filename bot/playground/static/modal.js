// A form the app opens over the page.

import { renderBlocks } from "./blocks.js";
import { el } from "./dom.js";

/** Show a modal view; its submit goes to the app, and its errors stand below their fields. */
export function openModal(view, world) {
  const dialog = document.getElementById("dialog");
  const press = (element, value) => world.do("click", { view_id: view.id, action_id: element.action_id, value });
  const send = async () => {
    const answer = await world.do("submit", { view_id: view.id, values: valuesIn(dialog) });
    const problems = answer?.done ?? {};
    for (const field of dialog.querySelectorAll("[data-block-id]")) {
      field.closest(".input").querySelector(".problem").textContent = problems[field.dataset.blockId] ?? "";
    }
    if (answer && !Object.keys(problems).length) dialog.close();
  };
  dialog.replaceChildren(
    el("h3", {}, view.title.text),
    ...renderBlocks(view.blocks, world, press),
    el("div", { class: "dialog-buttons" },
      el("button", { type: "button", class: "button", onclick: () => dialog.close() }, view.close?.text ?? "Close"),
      view.submit ? el("button", { type: "button", class: "button primary", onclick: send }, view.submit.text) : null));
  if (!dialog.open) dialog.showModal();
}

function valuesIn(dialog) {
  const values = {};
  for (const field of dialog.querySelectorAll("[data-block-id]")) {
    const { blockId, actionId, kind } = field.dataset;
    const given = kind === "static_select" ? { selected_option: field.value ? { value: field.value } : null } : { value: field.value || null };
    values[blockId] = { [actionId]: { type: kind, ...given } };
  }
  return values;
}
