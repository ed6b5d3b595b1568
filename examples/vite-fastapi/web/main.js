const answer = await fetch("/api/tasks");
const tasks = await answer.json();

const items = tasks.map((task) => {
  const item = document.createElement("li");
  item.textContent = task;
  return item;
});
document.getElementById("tasks").replaceChildren(...items);
