// Reads events with the guide's code, from a cursor on, until so many have come: the points of each as a line.
import { useSockets } from "./sockets.mjs";
import { connect, currentCursor, follow } from "./guide.mjs";

useSockets();
const { TREUE_URL, TREUE_TOKEN, TREUE_AFTER, TREUE_COUNT } = process.env;
const client = connect(TREUE_URL, async () => TREUE_TOKEN);
if (!(await currentCursor(client))) throw new Error("There is no cursor to begin with.");
console.log("ready");
const query = "subscription($after: Cursor) { pointsChanged(after: $after) { entry { points } } }";
let left = Number(TREUE_COUNT);
for await (const { cursor, result } of follow(client, query, {}, TREUE_AFTER)) {
  console.log(JSON.stringify({ cursor, points: result.data.pointsChanged.entry.points }));
  if (--left === 0) break;
}
await client.dispose();
