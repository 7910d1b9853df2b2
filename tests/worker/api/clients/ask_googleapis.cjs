// googleapis, of the time when it still carried Perspective's client: ask_googleapis.cjs URL KEY.
'use strict';
const {google} = require('googleapis');
const {refusal} = require('./refusal.cjs');

const [url, key] = process.argv.slice(2);
const comment = {text: 'You are awful. Have a nice day.'};
const analysis = {comment, requestedAttributes: {TOXICITY: {}}, languages: ['en'], clientToken: 'mine'};
const decision = {comment, attributeScores: {TOXICITY: {summaryScore: {value: 1}}}, clientToken: 'mine'};

async function main() {
  const discovered = await google.discoverAPI(`${url}/$discovery/rest?version=v1alpha1`);
  // As an option of a call: given to the client as a whole, this version cuts the address wrong.
  const shipped = google.commentanalyzer('v1alpha1');
  const there = {rootUrl: `${url}/`};
  const ask = (body, k = key) => discovered.comments.analyze({key: k, resource: body});
  return {
    discovered: {
      analyzed: (await ask(analysis)).data,
      suggested: (await discovered.comments.suggestscore({key, resource: decision})).data,
      empty: await refusal(ask({...analysis, comment: {text: ''}})),
      wrong_key: await refusal(ask(analysis, 'another')),
    },
    shipped: {
      analyzed: (await shipped.comments.analyze({key, requestBody: analysis}, there)).data,
      suggested: (await shipped.comments.suggestscore({key, requestBody: decision}, there)).data,
    },
  };
}

main().then(found => console.log(JSON.stringify(found)));
