import { packageConfig } from '../../tsup.base.ts'
import manifest from './package.json' with { type: 'json' }

// @libp2p/webrtc depends on react-native, which npm would install with this package: it is taken in.
const names = ['node:', '\\.', ...Object.keys(manifest.dependencies)]
export default packageConfig({
  noExternal: [new RegExp(`^(?!${names.join('|')})`)],
  treeshake: true,
})
