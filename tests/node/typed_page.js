// A page that uses the client rightly, and wrongly where a fault is expected: only ever type-checked.
import { ChatClient, Problem } from "../../service/static/chat-client.js";

const client = new ChatClient({ transport: "sse", token: async () => "key" });
const run = client.start({ model: "m", user_prompt: "Hello" });
for await (const event of run) {
  if (event.type === "delta") event.content.at(0);
  if (event.type === "started") event.ignored_parameters.at(0)?.at(0);
}
try {
  const { usage } = await run.done;
  usage?.total_tokens.toFixed(run.content.length);
} catch (error) {
  if (error instanceof Problem) error.errors.at(0)?.pointer.at(0);
}

// @ts-expect-error: there are two transports
client.transport = "pigeon";
// @ts-expect-error: a model is named by a string
client.start({ model: 1, user_prompt: "Hello" });
// @ts-expect-error: what a run has heard is not for pages to change
run.content = "";
// @ts-expect-error: a run that is under way has not finished
run.finished.usage;
