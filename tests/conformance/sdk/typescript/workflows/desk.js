'use strict';

// The Nexus service of these programs, as callers and handlers know it.

const { operation, service } = require('nexus-rpc');

const OPERATIONS = ['echo', 'refuse', 'stumble', 'double', 'breaks', 'endless'];

const desk = service('Desk', Object.fromEntries(OPERATIONS.map((name) => [name, operation()])));

module.exports = { desk };
