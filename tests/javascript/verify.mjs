// Says which libraries accept which deliveries: JSON on standard input, JSON on standard output.
import { readFileSync } from "node:fs";
import { Webhook as StandardWebhooks } from "standardwebhooks";
import { Webhook as Svix } from "svix";

function accepts(Webhook, { secret, headers, body }) {
  try {
    new Webhook(secret).verify(body, headers);
    return true;
  } catch {
    return false;
  }
}

const deliveries = JSON.parse(readFileSync(0, "utf8"));
const answers = deliveries.map((delivery) => ({
  standardwebhooks: accepts(StandardWebhooks, delivery),
  svix: accepts(Svix, delivery),
}));
console.log(JSON.stringify(answers));
