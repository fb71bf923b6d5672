// Pages that are brought up to date say so when the viewer does not answer any more.
const report = (text) => {
  const shown = document.getElementById("connection");
  if (shown.textContent !== text) shown.textContent = text;
  shown.hidden = !text;
};
document.addEventListener("htmx:sendError", () => report("The viewer does not answer: it was probably ended. This page is not brought up to date."));
document.addEventListener("htmx:responseError", (event) => report(event.detail.xhr.status === 403
  ? "The viewer was started anew, with another token: use the address that it printed."
  : "This page could not be brought up to date. Load it again to see why."));
document.addEventListener("htmx:afterOnLoad", (event) => { if (event.detail.xhr.status < 400) report(""); });
