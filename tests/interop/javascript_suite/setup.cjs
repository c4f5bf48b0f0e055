// Before each file of the suite: the picture that one of them fetches, without the Internet.

const picture = Buffer.alloc(2165);
picture.set([0xff, 0xd8, 0xff, 0xe0]);

globalThis.fetch = async () => new Response(picture);
