// story.mjs [SERVICE [WATCHED [follow]]]: registers SERVICE, changes it and withdraws it, while it watches WATCHED.
import { Registry } from './mdns_registry.mjs'

const [service = 'greeter', watched = service, follow] = process.argv.slice(2)

async function open() {
  const registry = await Registry.open()
  try {
    await tell(registry)
  } finally {
    await registry.close()
  }
}

async function tell(registry) {
  const watch = await registry.watch({ service: watched })
  const register = (port) =>
    registry.register(
      { name: service, version: '1.0.0', nodes: [{ id: `${service}-1`, port, metadata: { language: 'node' } }] },
      { ttl_ms: 30_000 },
    )
  const steps = [
    ['create', () => register(9090)],
    ['update', () => register(9091)],
    ['delete', () => registry.deregister({ name: service })],
  ]
  for (const [action, step] of steps) {
    if (!follow) await step()
    print(action, await next(watch, action))
    const found = action === 'create' ? await registry.getService(watched) : []
    if (follow) await step()
    for (const service of found) {
      console.log('list', ...(await registry.listServices()).map(({ name }) => name))
      print('get', service)
    }
  }
  watch.close()
}

async function next(watch, action) {
  for (;;) {
    const event = await watch.next(10_000)
    if (event === null) throw new Error(`no ${action} of ${watched} within 10 s`)
    if (event.action === action) return event.service
  }
}

function print(what, { name, nodes: [node] }) {
  console.log(what, name, node.id, node.port)
}

open().catch((error) => {
  console.error(`story: ${error.message}`)
  process.exitCode = 1
})
