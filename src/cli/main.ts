const x = import.meta.glob('/shaders/*.wgsl', { query: '?raw', import: 'default', eager: true });
export async function main(args: string[]): Promise<number> {
  console.log(args, Object.keys(x));
  return 0;
}
