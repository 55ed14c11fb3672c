// The same of requests, keys, models and URLs.
#pragma once

#include "tests/unit/protocol/openai/errors/error_samples.hpp"

namespace gristmill::error_samples {

inline const Sample of_requests[] = {
    // Too long.
    {"OpenAI", 400,
     R"({"error":{"message":"Input tokens exceed the configured limit of 272000 tokens.",)"
     R"("type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}})",
     too_long, "272000"},
    {"Anthropic", 400,
     R"({"type":"error","error":{"type":"invalid_request_error","message":)"
     R"("input length and `max_tokens` exceed context limit: 170636 + 34048 > 200000"}})",
     too_long, "170636"},
    {"Gemini", 400,
     R"([{"error":{"code":400,"message":"The input token count (1200000) exceeds the maximum )"
     R"(number of tokens allowed (1048576).","status":"INVALID_ARGUMENT"}}])",
     too_long, "1200000"},
    {"Groq", 413,
     R"({"error":{"message":"Request too large for model `m` on tokens per minute (TPM): Limit 1",)"
     R"("type":"tokens","code":"rate_limit_exceeded"}})",
     too_long, "TPM"},
    {"GitHub Models", 413,
     R"({"error":{"code":"tokens_limit_reached","message":"Request body too large for gpt-4o"}})",
     too_long, "gpt-4o"},
    {"Moonshot", 400,
     R"({"error":{"message":"Invalid request: Your request exceeded model token limit: 262144",)"
     R"("type":"invalid_request_error"}})",
     too_long, "262144"},
    {"Qwen", 400,
     R"({"error":{"message":"<400> InternalError.Algo.InvalidParameter: Range of input length )"
     R"(should be [1, 30720]","type":"invalid_request_error","code":"invalid_parameter_error"}})",
     too_long, "30720"},
    {"Mistral", 400,
     R"({"object":"error","message":"Prompt contains 32832 tokens, too large for model with 32768 )"
     R"(maximum context length","type":"invalid_request_error","code":"3051"})",
     too_long, "32832"},
    {"xAI", 400,
     R"({"code":"Client specified an invalid argument","error":"This model's maximum prompt length )"
     R"(is 131072 but the request contains 140000 tokens."})",
     too_long, "131072"},
    {"Cohere", 400, R"({"message":"too many tokens: size limit exceeded by 11326 tokens."})",
     too_long, "11326"},
    {"Bedrock", 400, R"({"message":"Input is too long for requested model."})", too_long,
     "too long"},
    {"TGI", 422,
     R"({"error":"Input validation error: `inputs` tokens + `max_new_tokens` must be <= 2048.",)"
     R"("error_type":"validation"})",
     too_long, "2048"},
    {"SGLang", 400,
     R"({"object":"error","message":"The input (263000 tokens) is longer than the model's context )"
     R"(length (262144 tokens).","type":"BadRequestError","code":400})",
     too_long, "263000"},
    {"vLLM", 400,
     R"({"error":{"message":"The decoder prompt (length 5000) is longer than the maximum model )"
     R"(length of 4096.","type":"BadRequestError","param":null,"code":400}})",
     too_long, "5000"},
    {"llama.cpp", 500,
     R"({"error":{"code":500,"message":"input is too large to process. increase the physical batch )"
     R"(size","type":"server_error"}})",
     too_long, "batch"},
    {"LM Studio", 400,
     R"({"error":"The number of tokens to keep from the initial prompt is greater than the context )"
     R"(length. Try to load the model with a larger context length"})",
     too_long, "larger"},
    {"Ollama", 400, R"({"error":"the input length exceeds the context length"})", too_long,
     "input length", Api::embeddings},
    {"LiteLLM", 400,
     R"({"error":{"message":"litellm.ContextWindowExceededError: m","type":null,"code":"400"}})",
     too_long, "ContextWindow"},
    {"OpenRouter", 400,
     R"({"error":{"message":"Input length 131393 exceeds the maximum allowed input length of 131040 )"
     R"(tokens.","code":400}})",
     too_long, "131393"},

    // Refused for what it says.
    {"DeepSeek", 400,
     R"({"error":{"message":"Content Exists Risk","type":"invalid_request_error","param":null,)"
     R"("code":"invalid_request_error"}})",
     policy, "Risk"},
    {"Zhipu", 400,
     R"({"contentFilter":[{"level":1}],"error":{"code":"1301","message":"potentially unsafe"}})",
     policy, "unsafe"},
    {"Moonshot", 400,
     R"({"error":{"message":"The request was rejected because it was considered high risk",)"
     R"("type":"content_filter"}})",
     policy, "high risk"},
    {"OpenAI", 400,
     R"({"error":{"message":"Invalid prompt: your prompt was flagged","type":"x",)"
     R"("code":"invalid_prompt"}})",
     policy, "flagged"},
    {"OpenRouter", 403,
     R"({"error":{"message":"x requires moderation. Your input was flagged for \"violence\"",)"
     R"("code":403,"metadata":{"reasons":["violence"]}}})",
     policy, "violence"},
    {"xAI", 403, R"({"code":"denied","error":"Content violates usage guidelines. Failed check"})",
     policy, "guidelines"},
    {"Volcengine", 400,
     R"({"error":{"code":"InputTextSensitiveContentDetected","message":"m","type":"BadRequest"}})",
     policy, "m"},
    {"Anthropic", 400,
     R"({"type":"error","error":{"type":"invalid_request_error","message":)"
     R"("Output blocked by content filtering policy"}})",
     policy, "blocked"},
    {"StepFun", 451, R"({"error":{"message":"m","type":"censorship_blocked"}})", policy, "m"},

    // Key, model and URL.
    {"Gemini", 400,
     R"([{"error":{"code":400,"message":"API key expired. Please renew the API key.",)"
     R"("status":"INVALID_ARGUMENT","details":[{"reason":"API_KEY_INVALID"}]}}])",
     config, "expired"},
    {"Gemini", 400,
     R"({"error":{"code":400,"message":"User location is not supported for the API use.",)"
     R"("status":"FAILED_PRECONDITION"}})",
     config, "location"},
    {"xAI", 400,
     R"({"code":"Client specified an invalid argument","error":"Incorrect API key provided: x."})",
     config, "Incorrect"},
    {"DeepSeek", 400,
     R"({"error":{"message":"Model Not Exist","type":"invalid_request_error","param":null,)"
     R"("code":"invalid_request_error"}})",
     config, "Not Exist"},
    {"Zhipu", 400,
     R"({"error":{"code":"1211","message":"Unknown Model, please check the model code."}})", config,
     "Unknown Model"},
    {"Groq", 400,
     R"({"error":{"message":"Organization has been restricted.","type":"invalid_request_error",)"
     R"("code":"organization_restricted"}})",
     config, "restricted"},
    {"OpenRouter", 400, R"({"error":{"message":"x/y is not a valid model ID","code":400}})", config,
     "valid model"},
    {"Azure", 400,
     R"({"error":{"code":"OperationNotSupported","message":"The chatCompletion operation does not )"
     R"(work with the specified model, m."}})",
     config, "does not work"},
    {"Bedrock", 400,
     R"({"__type":"UnrecognizedClientException","message":"The security token is invalid."})",
     config, "token"},
    {"vLLM", 400,
     R"({"error":{"message":"The model does not support Chat Completions API","type":"BadRequest",)"
     R"("param":null,"code":400}})",
     config, "Chat Completions"},
    {"nginx", 400,
     "<html><head><title>400 The plain HTTP request was sent to HTTPS port</title></head></html>",
     config, "HTTPS port"},
    {"LM Studio, in 200", 200, R"j({"error":"Unexpected endpoint or method. (POST /v1/x)"})j",
     config, "Unexpected endpoint"},
    {"FastAPI, in 200", 200, R"({"detail":"Not Found"})", config, "Not Found"},
    {"Spring, in 200", 200,
     R"({"timestamp":"t","status":404,"error":"Not Found","path":"/v1/chat/completions"})", config,
     "Not Found"},
    {"a gateway, in 200", 200, R"({"code":404,"msg":"no handler","data":null})", config, "handler"},
    {"Express, in 200", 200,
     "<html><body><pre>Cannot POST /v1/chat/completions</pre></body></html>", config,
     "Cannot POST"},
    {"Go, in 200", 200, "404 page not found\n", config, "page not found"},
    {"a list, in 200", 200, R"({"errors":[{"message":"Route not found: POST /chat"}]})", config,
     "Route not found"},

    // Another try may do better.
    {"Groq", 400,
     R"({"error":{"message":"Failed to generate JSON.","type":"invalid_request_error",)"
     R"("code":"json_validate_failed","failed_generation":"{"}})",
     bad_result, "Failed"},

    // Nothing known: the status decides, and the words are kept.
    {"any", 400, R"({"error":{"message":"temperature must be at most 2"}})", bad_line,
     "temperature must be"},
    {"any", 500, R"({"error":{"message":"division by zero"}})", transient, "division by zero"},
    {"any", 400, R"({"error":{"message":"the limit: 0.5 is exceeded"}})", bad_line, "0.5"},
    {"a phrase inside of words", 400, R"({"error":{"message":"unsendable: cannot poster it"}})",
     bad_line, "poster"},
    {"a proxy", 400, R"({"error":{"message":"does not fit into the context window"}})", too_long,
     "fit"},
    {"a proxy", 422, R"({"detail":"exceeds the model's context length"})", too_long, "exceeds"},
    {"a proxy", 400, R"({"message":"Rejected by our safety system"})", policy, "safety"},
    {"Anthropic", 400, R"({"type":"error","error":{"type":"x","message":"invalid x-api-key"}})",
     config, "x-api-key"},
    {"a proxy", 400, R"({"error":"No API key was given"})", config, "No API key"},
};

} // namespace gristmill::error_samples
