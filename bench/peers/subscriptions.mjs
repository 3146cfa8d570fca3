// The peer of `make bench-subscriptions`: a graphql-ws server whose subscribers all get the same events.
// A line on standard input is the JSON of an event. It listens on any free port of loopback and prints it.
import { createInterface } from 'node:readline'
import { GraphQLInt, GraphQLList, GraphQLNonNull, GraphQLObjectType, GraphQLSchema, GraphQLString } from 'graphql'
import { useServer } from 'graphql-ws/use/ws'
import { WebSocketServer } from 'ws'

const waiting = new Set()

async function* events() {
  const backlog = []
  const own = { wake: null, push: (event) => { backlog.push(event); own.wake?.() } }
  waiting.add(own)
  try {
    while (true) {
      while (backlog.length) yield { pointsChanged: backlog.shift() }
      await new Promise((resolve) => { own.wake = resolve })
    }
  } finally {
    waiting.delete(own)
  }
}

const text = { type: new GraphQLNonNull(GraphQLString) }
const number = { type: new GraphQLNonNull(GraphQLInt) }
const object = (name, fields) => ({ type: new GraphQLNonNull(new GraphQLObjectType({ name, fields })) })
const schema = new GraphQLSchema({
  query: new GraphQLObjectType({ name: 'Query', fields: { word: { type: new GraphQLList(GraphQLString) } } }),
  subscription: new GraphQLObjectType({
    name: 'Subscription',
    fields: {
      pointsChanged: {
        ...object('PointsChanged', {
          cursor: text,
          entry: object('LedgerEntry', {
            points: number,
            occurredAt: text,
            customer: object('Customer', { id: text, externalId: text, fullName: { type: GraphQLString } }),
          }),
          points: object('PointsAccount', { available: number, pending: number, held: number }),
        }),
        subscribe: events,
      },
    },
  }),
})

const server = new WebSocketServer({ host: '127.0.0.1', port: 0, path: '/graphql' })
useServer({ schema }, server)
server.on('listening', () => console.log(server.address().port))
createInterface({ input: process.stdin }).on('line', (line) => {
  const event = JSON.parse(line)
  for (const subscriber of waiting) subscriber.push(event)
})
