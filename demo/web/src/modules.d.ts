/** Files that are bundled as they are. */
declare module "*.wasm" {
  const content: Uint8Array;
  export default content;
}
