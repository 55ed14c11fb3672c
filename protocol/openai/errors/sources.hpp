// The providers that rows of ERROR WORDS name, and where their words were read.
#pragma once

#include "protocol/openai/errors/words.hpp"

namespace gristmill::openai::error_source {

inline constexpr Statuses refused{400, 499}, wrong{400, 422}, limited{429, 429}, broken{500, 599};
inline constexpr Statuses any{400, 599}, no_room{429, 599};
inline constexpr Statuses in_200{0, 0}; // too common a word to overrule a status

inline constexpr Source openai{"OpenAI", "developers.openai.com/api/docs/guides/error-codes"};
inline constexpr Source azure{"Azure OpenAI",
                              "learn.microsoft.com/azure/ai-foundry/openai/quotas-limits"};
inline constexpr Source anthropic{"Anthropic", "platform.claude.com/docs/en/api/errors"};
inline constexpr Source gemini{"Gemini", "ai.google.dev/gemini-api/docs/troubleshooting"};
inline constexpr Source zhipu{"Zhipu, Z.ai", "docs.z.ai/api-reference/api-code"};
inline constexpr Source moonshot{"Moonshot", "platform.kimi.ai/docs; MoonshotAI/kimi-code #1857"};
inline constexpr Source deepseek{"DeepSeek", "api-docs.deepseek.com/quick_start/error_codes"};
inline constexpr Source qwen{"Qwen, DashScope", "help.aliyun.com/zh/model-studio/error-code"};
inline constexpr Source minimax{"MiniMax", "platform.minimax.io/docs/api-reference/errorcode"};
inline constexpr Source mistral{"Mistral", "docs.mistral.ai; litellm #21558"};
inline constexpr Source together{"Together", "docs.together.ai/docs/error-codes"};
inline constexpr Source fireworks{"Fireworks", "docs.fireworks.ai/guides/inference-error-codes"};
inline constexpr Source groq{"Groq", "console.groq.com/docs/errors"};
inline constexpr Source openrouter{"OpenRouter",
                                   "openrouter.ai/docs/api/reference/errors-and-debugging"};
inline constexpr Source cohere{"Cohere", "docs.cohere.com/reference/errors"};
inline constexpr Source xai{"xAI", "docs.x.ai/developers/debugging; continue #10373, #10778"};
inline constexpr Source volcengine{"Volcengine Ark", "volcengine.com/docs/82379/1299023"};
inline constexpr Source siliconflow{"SiliconFlow", "docs.siliconflow.cn/en/faqs/error-code"};
inline constexpr Source bedrock{"Bedrock",
                                "docs.aws.amazon.com/bedrock/latest/userguide/troubleshooting"};
inline constexpr Source databricks{"Databricks", "docs.databricks.com/api/workspace/introduction"};
inline constexpr Source perplexity{"Perplexity", "litellm #21558"};
inline constexpr Source stepfun{"StepFun", "platform.stepfun.com/docs, error codes"};
inline constexpr Source github{"GitHub Models", "docs.github.com/github-models"};
inline constexpr Source vllm{"vLLM", "vllm/entrypoints, vllm/v1/engine/exceptions.py"};
inline constexpr Source sglang{"SGLang", "sglang/srt/managers/tokenizer_manager.py"};
inline constexpr Source llamacpp{"llama.cpp",
                                 "tools/server/server-common.cpp, format_error_response"};
inline constexpr Source tgi{"TGI", "router/src/validation.rs, router/src/server.rs"};
inline constexpr Source ollama{"Ollama", "server/routes.go, llm/server.go"};
inline constexpr Source lmstudio{"LM Studio", "lmstudio-bug-tracker, answers of its server"};
inline constexpr Source hf{"Hugging Face router", "huggingface.co/docs/inference-providers"};
inline constexpr Source litellm{"LiteLLM",
                                "docs.litellm.ai/docs/exception_mapping, proxy/_types.py"};
inline constexpr Source one_api{"One API, New API",
                                "songquanpeng/one-api, common/ and controller/"};
inline constexpr Source cerebras{"Cerebras", "inference-docs.cerebras.ai/support/error"};
inline constexpr Source cloudflare{"Cloudflare Workers AI",
                                   "developers.cloudflare.com/workers-ai/platform/errors"};
inline constexpr Source kserve{"KServe", "python/kserve/kserve/errors.py"};
inline constexpr Source qianfan{"Qianfan", "cloud.baidu.com/doc/qianfan-docs, error codes"};
inline constexpr Source tensorrt{"TensorRT-LLM", "tensorrt_llm/executor, its request checks"};
inline constexpr Source nginx{"nginx", "src/http/ngx_http_special_response.c"};
inline constexpr Source nvidia{"NVIDIA NIM", "docs.api.nvidia.com/nim/reference"};
inline constexpr Source clients{"several",
                                "their lists: agentao #88, openclaw #20539, litellm #21647"};
inline constexpr Source frameworks{"web frameworks", "Express, Spring, FastAPI, Go's net/http"};

} // namespace gristmill::openai::error_source
