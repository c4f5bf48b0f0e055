"""A debate of two speakers and one who leads it: three handles of one model, a chat for each.

After the manner of UnusMundusWave/lmstudio-sdk-examples, 3Agents.py.
"""

import sys

import lmstudio as lms

lms.configure_default_client(sys.argv[1])
TOPIC = "Should bridges be painted red?"
ROUNDS = 3


class Speaker:
    def __init__(self, name, task):
        self.name = name
        self.model = lms.llm()
        self.chat = lms.Chat(task)

    def say(self, prompt):
        self.chat.add_user_message(prompt)
        response = self.model.respond(self.chat)
        self.chat.add_assistant_response(response)
        print(f'{self.name}: "{response}"')
        return response


red = Speaker("Red", "You want all bridges red. Use few words.")
grey = Speaker("Grey", "You want all bridges grey. Use few words.")
leader = Speaker("Leader", "You keep a debate on its topic.")
print({speaker.model.identifier for speaker in (red, grey, leader)})

last = red.say(f"The topic: {TOPIC}")
for number in range(ROUNDS):
    answer = grey.say(f"Red said: '{last}' Answer, round {number}.")
    remark = leader.say(f"Red said: '{last}'\nGrey said: '{answer}'\nJudge round {number}.")
    last = red.say(f"Grey said: '{answer}'\nThe leader said: '{remark}'\nGo on.")
closing = leader.say("Close the debate.")
for speaker in (red, grey, leader):
    print(speaker.name, len(speaker.chat._get_history()["messages"]))
print(closing.stats.stop_reason, str(closing) == closing.content)
