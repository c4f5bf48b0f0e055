"""Two models of one program: one talks, the other one makes sound of it, sentence by sentence.

After the manner of afestini/mOrpheus, modules/lm_client.py; the sentences are those of
julienbltt/llm-tool, lmsClass.py.
"""

import queue
import re
import sys
import threading

import lmstudio as lms

SENTENCE = re.compile(r".*?[.!?…](?:\s|$)")
SETTINGS = {
    "chat": {"max_tokens": 40, "temperature": 0.7, "top_p": 0.9, "repeat_penalty": 1.1},
    "sound": {"max_tokens": 400, "temperature": 0.6, "top_p": 0.9, "speed": 1.0},
}


class Voice:
    def __init__(self, model, system_prompt):
        # Options of predictions among those of loading, as LM Studio's own form has them.
        self.talker = lms.llm(model, config=SETTINGS["chat"])
        self.sounder = lms.llm("test-vlm", config=SETTINGS["sound"])
        self.chat = lms.Chat(system_prompt)
        self.sentences = queue.Queue()
        self.sounds = []
        self.thread = threading.Thread(target=self.speak, daemon=True)
        self.thread.start()

    def speak(self):
        while (sentence := self.sentences.get()) is not None:
            clean = re.sub(r"\s+", " ", re.sub(r"\*+|[^\x00-\x7f]+", "", sentence)).strip()
            stream = self.sounder.complete_stream(f"<|audio|>anna: {clean}<|eot_id|>")
            self.sounds.append(len("".join(fragment.content for fragment in stream)))

    def talk(self, text):
        self.chat.add_user_message(text)
        for fragment in self.talker.respond_stream(self.chat, on_message=self.chat.append):
            yield fragment.content

    def respond_and_speak(self, text):
        buffer = full = ""
        for content in self.talk(text):
            if not content:
                continue
            buffer += content
            full += content
            while match := SENTENCE.match(buffer):
                self.sentences.put(match.group(0).strip())
                buffer = buffer[match.end() :]
        if buffer.strip():
            self.sentences.put(buffer.strip())
        return full

    def close(self):
        self.sentences.put(None)
        self.thread.join(30)


lms.configure_default_client(sys.argv[1])
voice = Voice("test-llm", "Answer in two sentences. **No** emojis ☂.")
for said in ("Is it late?", "One. Two! Three?", "Count for a long time"):
    print(voice.respond_and_speak(said))
voice.close()
print(voice.sounds, voice.thread.is_alive())
print(voice.chat)
print(sorted(one.identifier for one in lms.list_loaded_models("llm")))
