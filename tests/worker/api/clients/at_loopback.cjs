// Preloaded with --require: Perspective's fixed host is at API_PORT of this machine. Name and
// certificate are still checked as that host's.
'use strict';
const https = require('node:https');

https.globalAgent = new https.Agent({host: '127.0.0.1', port: Number(process.env.API_PORT)});
