// What google.discoverAPI is today, without the other APIs around it: ask_googleapis_common.cjs URL KEY.
'use strict';
const {Discovery} = require('googleapis-common');
const {refusal} = require('./refusal.cjs');

const [url, key] = process.argv.slice(2);
const comment = {text: 'You are awful. Have a nice day.'};
const analysis = {comment, requestedAttributes: {TOXICITY: {}}, languages: ['en'], clientToken: 'mine'};
const decision = {comment, attributeScores: {TOXICITY: {summaryScore: {value: 1}}}, clientToken: 'mine'};

async function main() {
  const make = await new Discovery().discoverAPI(`${url}/$discovery/rest?version=v1alpha1`);
  const client = make({});
  const ask = (body, k = key) => client.comments.analyze({key: k, requestBody: body});
  return {
    analyzed: (await ask(analysis)).data,
    suggested: (await client.comments.suggestscore({key, requestBody: decision})).data,
    empty: await refusal(ask({...analysis, comment: {text: ''}})),
    wrong_key: await refusal(ask(analysis, 'another')),
  };
}

main().then(found => console.log(JSON.stringify(found)));
