import { Registry } from './mdns_registry.mjs'

const registry = await Registry.open()
for (const ask of [() => registry.getService('a\0b'), () => registry.watch({ service: 'a\0b' })]) {
  await ask().catch(({ code, message }) => console.log(code, message))
}
const watch = await registry.watch({ service: 'nobody' })
await watch.next()
const say = (event) => console.log(event ? event.type : watch.ended ? 'ended' : 'timeout')
say(await watch.next(10))
const waits = watch.next()
await registry.close()
say(await waits)
say(await watch.next())
watch.close()
say(await watch.next())
