// The peer of `make bench-reads`: PostGraphile over the tables of Treue, as the same role, behind the same policies.
// DATABASE_URL names the database. It listens on any free port of loopback and prints it.
import { createServer } from 'node:http'
import pg from 'pg'
import { postgraphile } from 'postgraphile'
import { makePgService } from 'postgraphile/adaptors/pg'
import { grafserv } from 'postgraphile/grafserv/node'
import { PostGraphileAmberPreset } from 'postgraphile/presets/amber'

// As many connections as Treue has for transactions; with 3, which is what Treue reads with, the peer is slower.
const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 16 })

const instance = postgraphile({
  extends: [PostGraphileAmberPreset],
  // Grants already say what the role may read; nothing is written.
  disablePlugins: ['PgMutationCreatePlugin', 'PgMutationUpdateDeletePlugin', 'PgIndexBehaviorsPlugin'],
  pgServices: [makePgService({ pool, schemas: ['public'] })],
  grafserv: { graphiql: false, watch: false, websockets: false },
  grafast: {
    explain: false,
    // The policies ask for the tenant: each request names it, and it is set for the transaction of that request.
    context: ({ node }) => ({ pgSettings: { 'app.tenant_id': node.req.headers['x-tenant'] } }),
  },
})

const server = createServer()
server.keepAliveTimeout = 75_000
await instance.createServ(grafserv).addTo(server)
server.listen(0, '127.0.0.1', () => console.log(server.address().port))
