// What providers and servers were seen to say when they do not answer: facts of their documentation
// and of reports, shortened. Each with its class, and words of it that people have to see.
#pragma once

#include "protocol/job/outcome_class.hpp"
#include "protocol/openai/api.hpp"

namespace gristmill::error_samples {

using openai::Api;
using enum OutcomeClass;

struct Sample {
  const char* provider;
  std::uint16_t status;
  const char* body;
  OutcomeClass cls;
  const char* shown;
  Api api = Api::chat;
};

// Of accounts, limits and servers.
inline const Sample of_accounts[] = {
    // An empty purse.
    {"OpenAI", 429,
     R"({"error":{"message":"You exceeded your current quota, please check your plan.",)"
     R"("type":"insufficient_quota","param":null,"code":"insufficient_quota"}})",
     quota, "exceeded your current quota"},
    {"OpenAI", 400,
     R"({"error":{"message":"Billing hard limit has been reached","type":"invalid_request_error",)"
     R"("param":null,"code":"billing_hard_limit_reached"}})",
     quota, "Billing hard limit"},
    {"Anthropic", 400,
     R"({"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is )"
     R"(too low to access the Anthropic API."}})",
     quota, "credit balance"},
    {"Gemini", 429,
     R"([{"error":{"code":429,"message":"You exceeded your current quota. * Quota exceeded for )"
     R"(metric: generate_content_free_tier_requests, limit: 0, model: g",)"
     R"("status":"RESOURCE_EXHAUSTED"}}])",
     quota, "limit: 0"},
    {"Zhipu", 429,
     R"({"error":{"code":"1113","message":"Insufficient balance. Please recharge."}})", quota,
     "balance"},
    {"Zhipu", 429, R"({"error":{"code":"1308","message":"Used 600 of 600 in 5 hours"}})", quota,
     "600"},
    {"Zhipu, in 200", 200, R"({"error":{"code":1113,"message":"Please recharge."}})", quota,
     "recharge"},
    {"Moonshot", 429,
     R"({"error":{"message":"Your account org-1 is suspended, please recharge your account",)"
     R"("type":"exceeded_current_quota_error"}})",
     quota, "suspended"},
    {"DeepSeek", 402,
     R"({"error":{"message":"Insufficient Balance","type":"unknown_error","param":null,)"
     R"("code":"invalid_request_error"}})",
     quota, "Insufficient Balance"},
    {"Qwen", 400,
     R"({"error":{"code":"Arrearage","param":null,"message":"Access denied, please make sure your )"
     R"(account is in good standing.","type":"Arrearage"},"id":"chatcmpl-1"})",
     quota, "good standing"},
    {"MiniMax", 200, R"({"base_resp":{"status_code":1008,"status_msg":"insufficient balance"}})",
     quota, "balance"},
    {"Fireworks", 412,
     R"({"error":{"object":"error","type":"invalid_request_error","message":"Account a is )"
     R"(suspended, possibly due to reaching the monthly spending limit"}})",
     quota, "spending limit"},
    {"OpenRouter", 402,
     R"({"error":{"message":"This request requires more credits, or fewer max_tokens.","code":402}})",
     quota, "credits"},
    {"OpenRouter", 429,
     R"({"error":{"message":"Rate limit exceeded: free-models-per-day. Add 10 credits","code":429,)"
     R"("metadata":{"headers":{"X-RateLimit-Remaining":"0"}}}})",
     quota, "free-models-per-day"},
    {"OpenRouter, of its provider", 429,
     R"({"error":{"message":"Provider returned error","code":429,"metadata":{"raw":)"
     R"("{\"error\":{\"message\":\"suspended due to insufficient balance\"}}","provider_name":"K"}}})",
     quota, "insufficient balance"},
    {"Cohere", 429,
     R"({"message":"You are using a Trial key, which is limited to 1000 API calls / month."})",
     quota, "Trial key"},
    {"xAI", 429,
     R"({"code":"resource limit","error":"Your team t has either used all available credits or )"
     R"(reached its monthly spending limit."})",
     quota, "Your team"},
    {"Volcengine", 403,
     R"({"error":{"code":"AccountOverdueError","message":"The account has an overdue balance",)"
     R"("param":"","type":"Forbidden"}})",
     quota, "overdue"},
    {"SiliconFlow", 403,
     R"({"code":30001,"message":"Sorry, your account balance is insufficient","data":null})", quota,
     "Sorry"},
    {"Hugging Face", 402,
     R"({"error":"You have exceeded your monthly included credits for Inference Providers."})",
     quota, "monthly included credits"},
    {"LiteLLM", 400,
     R"({"error":{"message":"Budget has been exceeded! Current cost: 2.1, Max budget: 2.0",)"
     R"("type":"budget_exceeded","param":null,"code":"400"}})",
     quota, "Max budget"},
    {"One API", 403,
     R"({"error":{"message":"user quota is not enough","type":"new_api_error","param":"",)"
     R"("code":"insufficient_user_quota"}})",
     quota, "not enough"},

    // More than a rate allows.
    {"Gemini", 429,
     R"([{"error":{"code":429,"message":"You exceeded your current quota. * Quota exceeded for )"
     R"(metric: m, limit: 20, model: g","status":"RESOURCE_EXHAUSTED","details":[{"@type":"t",)"
     R"("retryDelay":"36s"}]}}])",
     rate, "limit: 20"},
    {"Zhipu", 429, R"({"error":{"code":"1302","message":"High concurrency usage"}})", rate, "High"},
    {"Moonshot", 429,
     R"({"error":{"type":"rate_limit_reached_error","message":"reached project TPM rate limit"}})",
     rate, "TPM"},
    {"Qwen", 429,
     R"({"error":{"message":"Allocated quota exceeded, please increase your quota limit.",)"
     R"("type":"insufficient_quota","code":"insufficient_quota"}})",
     rate, "Allocated quota"},
    {"Qwen", 429,
     R"({"code":"Throttling.RateQuota","message":"Requests rate limit exceeded","request_id":"r"})",
     rate, "Requests rate"},
    {"Qwen", 429, R"({"code":"Throttling.BurstRate","message":"increased too quickly"})", ramp,
     "too quickly"},
    {"Mistral", 429,
     R"({"object":"error","message":"Requests rate limit exceeded","type":"rate_limited",)"
     R"("param":null,"code":"1300"})",
     rate, "Requests rate"},
    {"Bedrock", 400, R"({"__type":"com.amazon#ThrottlingException","message":"Too many tokens"})",
     rate, "Too many tokens"},
    {"Databricks", 429, R"({"error_code":"REQUEST_LIMIT_EXCEEDED","message":"Exceeded QPS"})", rate,
     "QPS"},
    {"Volcengine", 429,
     R"({"error":{"code":"RateLimitExceeded.EndpointRPMExceeded","message":"RPM","type":"x"}})",
     rate, "RPM"},
    {"in 200", 200, R"({"error":{"message":"Rate limit exceeded, slow down a bit"}})", rate,
     "slow down"},

    // No room, or not ready.
    {"OpenAI", 503,
     R"({"error":{"message":"That model is currently overloaded with other requests.",)"
     R"("type":"server_error","param":null,"code":null}})",
     overload, "overloaded"},
    {"Azure", 429,
     R"({"error":{"code":"NoCapacity","message":"The system is currently experiencing high demand"}})",
     overload, "high demand"},
    {"Moonshot", 429,
     R"({"error":{"message":"The engine is currently overloaded","type":"engine_overloaded_error"}})",
     overload, "engine"},
    {"TGI", 429, R"({"error":"Model is overloaded","error_type":"overloaded"})", overload,
     "overloaded"},
    {"Groq", 498,
     R"({"error":{"message":"Flex tier capacity exceeded","type":"flex","code":"capacity_exceeded"}})",
     overload, "Flex"},
    {"Gemini", 503,
     R"([{"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}])",
     overload, "overloaded"},
    {"llama.cpp", 503,
     R"({"error":{"message":"Loading model","type":"unavailable_error","code":503}})", unavailable,
     "Loading model"},
    {"Hugging Face", 503, R"({"error":"Model m is currently loading","estimated_time":20.0})",
     unavailable, "currently loading"},
    {"Ollama", 500, R"({"error":"unexpected server status: llm server loading model"})",
     unavailable, "loading"},
    {"LM Studio", 404, R"({"error":{"message":"No models loaded. Please load a model"}})",
     unavailable, "No models"},
    {"vLLM", 500,
     R"({"error":{"message":"EngineCore encountered an issue. See stack trace",)"
     R"("type":"InternalServerError","param":null,"code":500}})",
     unavailable, "EngineCore"},
    {"Bedrock", 429, R"({"__type":"ModelNotReadyException","message":"not ready"})", unavailable,
     "not ready"},
    {"NVIDIA", 402, R"({"status":402,"title":"Payment Required","detail":"Cloud credits expired"})",
     quota, "credits expired"},
    {"a proxy", 403, R"({"message":"balance is not enough","success":false})", quota, "not enough"},
    {"a proxy", 400, R"({"error":"You are out of credits"})", quota, "out of credits"},
    {"Together", 429, R"({"error":{"message":"server is busy","type":"x"}})", overload, "busy"},
};

} // namespace gristmill::error_samples
