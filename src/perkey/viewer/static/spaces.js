// A click on a point of a chart opens the page of its job.
document.addEventListener("click", (event) => {
  const point = event.target.closest(".chart [data-href]");
  const path = point && point.getAttribute("data-href");
  if (path && path.startsWith("/")) window.location.assign(path);
});
// A plot is drawn anew when a choice is changed.
document.addEventListener("change", (event) => {
  const choice = event.target.closest(".choices select, .choices input");
  if (choice) choice.form.requestSubmit();
});
