// What a client of Google's makes of a refusal.
'use strict';

exports.refusal = asked =>
  asked.then(
    () => ({}),
    error => ({
      status: error.response.status,
      message: error.message,
      details: error.response.data.error.details,
    })
  );
