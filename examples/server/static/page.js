const byId = (id) => document.getElementById(id);
const seconds = (number) => `${number.toFixed(2)} s`;

let stopping = null;

byId("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  stopping = new AbortController();
  begin();
  try {
    await ask(byId("prompt").value, stopping.signal);
  } catch (error) {
    if (error.name === "AbortError") {
      byId("state").textContent = "stopped";
    } else {
      fail({ message: "The connection broke.", may_try_again: true });
    }
  }
  byId("ask").disabled = false;
  byId("stop").disabled = true;
});

// The request ends here, so the server ends its own request to the model.
byId("stop").addEventListener("click", () => stopping.abort());

// Browsers keep a page that was left, its requests too, for the way back.
addEventListener("pagehide", () => stopping?.abort());

function begin() {
  for (const id of ["first-token", "total", "tokens"]) byId(id).textContent = "–";
  byId("answer").textContent = "";
  byId("failure").hidden = true;
  byId("state").textContent = "waiting";
  byId("ask").disabled = true;
  byId("stop").disabled = false;
}

async function ask(prompt, signal) {
  const began = performance.now();
  const passed = () => seconds((performance.now() - began) / 1000);
  const response = await fetch("answers", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ prompt }),
    signal,
  });
  if (!response.ok) {
    fail({ message: "The server refuses this.", may_try_again: false });
    return;
  }
  let last = null;
  for await (const { name, data } of events(response.body)) {
    last = name;
    if (name === "text") {
      if (byId("state").textContent === "waiting") {
        byId("first-token").textContent = passed();
        byId("state").textContent = "answering";
      }
      byId("answer").append(data);
    } else if (name === "done") {
      byId("total").textContent = passed();
      byId("tokens").textContent = data.output_tokens ?? "–";
      byId("state").textContent = data.finish_reason === "length" ? "cut" : "done";
    } else if (name === "failed") {
      fail(data);
    }
  }
  if (last !== "done" && last !== "failed") throw new Error("no last event");
}

function fail({ message, may_try_again }) {
  byId("failure").textContent = may_try_again ? `${message} Try again.` : message;
  byId("failure").hidden = false;
  byId("state").textContent = "failed";
}

// EventSource can only GET, and asks again by itself when a connection breaks.
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const whole = (held + value).split("\n\n");
    held = whole.pop();
    for (const event of whole) {
      const fields = new Map(event.split("\n").map((line) => line.split(/: (.*)/s)));
      if (fields.has("data")) {
        yield { name: fields.get("event"), data: JSON.parse(fields.get("data")) };
      }
    }
  }
}
