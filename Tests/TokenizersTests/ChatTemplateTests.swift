import Testing
import Tokenizers

/// Dialogues as the templates write them, each run by Jinja with `<BOS>` for the token that begins a text.
@Suite struct ChatTemplates {
  private static let qwen2 = """
    {% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system
    You are a helpful assistant.<|im_end|>
    ' }}{% endif %}{{'<|im_start|>' + message['role'] + '
    ' + message['content'] + '<|im_end|>' + '
    '}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant
    ' }}{% endif %}
    """
  private static let chatML = #"""
    {% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}
    """#
  private static let llama2 = #"""
    {% for message in loop_messages %}{% if loop.index0 == 0 and system_message != false %}{% set content = '<<SYS>>\n' + system_message + '\n<</SYS>>\n\n' + message['content'] %}{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% endif %}{% endfor %}
    """#
  private static let llama3 = #"""
    {% for message in messages %}{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}
    """#
  private static let mistral1 = #"""
    {{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token}}{% endif %}{% endfor %}
    """#
  private static let mistral3 = #"""
    {{- bos_token }}{%- for message in loop_messages %}{%- if loop.last and system_message is defined %}{{- "[INST] " + system_message + "\n\n" + message["content"] + "[/INST]" }}{%- else %}{{- "[INST] " + message["content"] + "[/INST]" }}{%- endif %}{%- endfor %}
    """#

  @Test(
    "A question is written as the template writes it",
    arguments: [
      (
        qwen2, nil,
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n Hi there \n<|im_end|>\n<|im_start|>assistant\n"
      ),
      (
        qwen2, "Be short.",
        "<|im_start|>system\nBe short.<|im_end|>\n<|im_start|>user\n Hi there \n<|im_end|>\n<|im_start|>assistant\n"
      ),
      (chatML, nil, "<|im_start|>user\n Hi there \n<|im_end|>\n<|im_start|>assistant\n"),
      (llama2, nil, "<BOS>[INST] Hi there [/INST]"),
      (
        llama2, "Be short.",
        "<BOS>[INST] <<SYS>>\nBe short.\n<</SYS>>\n\n Hi there [/INST]"
      ),
      (
        llama3, nil,
        "<BOS><|start_header_id|>user<|end_header_id|>\n\nHi there<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
      ),
      (
        llama3, "Be short.",
        "<BOS><|start_header_id|>system<|end_header_id|>\n\nBe short.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nHi there<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
      ),
      (mistral1, nil, "<BOS>[INST]  Hi there \n [/INST]"),
      (mistral3, nil, "<BOS>[INST]  Hi there \n[/INST]"),
      (mistral3, "Be short.", "<BOS>[INST] Be short.\n\n Hi there \n[/INST]"),
    ] as [(String, String?, String)])
  func text(template: String, system: String?, expected: String) throws {
    let form = try #require(ChatTemplate(template))
    #expect(form.text(system: system, user: " Hi there \n", begin: "<BOS>") == expected)
  }

  @Test("Other templates are not recognised")
  func others() {
    for template in [
      "{{ '<start_of_turn>' + role }}", "<|user|>\n{{ content }}<|end|>", "### Instruction:", "",
    ] {
      #expect(ChatTemplate(template) == nil)
    }
  }
}
