// perspective-api-client: ask_perspective_api_client.cjs KEY, with at_loopback.cjs before it.
'use strict';
const Perspective = require('perspective-api-client');

const [key] = process.argv.slice(2);
const refusal = asked =>
  asked.then(
    () => ({}),
    error => ({name: error.name, status: error.response.status, message: error.message})
  );

async function main() {
  const client = new Perspective({apiKey: key});
  const all = ['toxicity', 'severe_toxicity', 'profanity', 'threat', 'insult', 'identity_attack'];
  return {
    analyzed: await client.analyze('You are <b>awful</b>'),
    all: await client.analyze('You are awful', {attributes: all}),
    request: await client.analyze({
      comment: {text: 'You are awful'},
      requestedAttributes: {TOXICITY: {scoreThreshold: 0.01}},
      clientToken: 'mine',
    }),
    empty: await refusal(client.analyze('', {validate: false})),
    unknown: await refusal(client.analyze('You are awful', {attributes: ['flirtation']})),
    wrong_key: await refusal(new Perspective({apiKey: 'another'}).analyze('You are awful')),
  };
}

main().then(found => console.log(JSON.stringify(found)));
