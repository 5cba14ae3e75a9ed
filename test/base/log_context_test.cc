#include "base/log_context.h"

#include <future>
#include <set>

#include <gtest/gtest.h>

#include "base/fair_pool.h"
#include "base/worker_pool.h"

namespace weighhouse {
namespace {

std::string Here() { return std::string(LogContext::Current().request()); }

LogContext Of(const std::string& request) { return LogContext().With({{kRequestField, request}}); }

TEST(LogContextTest, IsEmptyUntilAScopeMakesOneAndAfterIt) {
  EXPECT_TRUE(LogContext::Current().empty());
  {
    LogScope outer(Of("outer"));
    {
      LogScope inner(Of("inner"));
      EXPECT_EQ(Here(), "inner");
    }
    EXPECT_EQ(Here(), "outer");
  }
  EXPECT_TRUE(LogContext::Current().empty());
}

TEST(LogContextTest, AddedFieldsCountOverThoseThatWereThere) {
  LogContext context = Of("r").With({{"model", "a"}}).With({{"model", "b"}, {"pod", "p"}});
  EXPECT_EQ(context.Find("model"), "b");
  EXPECT_EQ(context.Find("pod"), "p");
  EXPECT_EQ(context.request(), "r");
  EXPECT_EQ(context.fields().size(), 3U);
  EXPECT_EQ(context.Find("absent"), "");
}

template <class Pool, class Post>
void ExpectToCarryTheContext(Pool& pool, Post post) {
  auto run_under = [&](const std::string& request) {
    std::promise<std::string> seen;
    auto job = [&seen] { seen.set_value(Here()); };
    if (request.empty()) {
      post(pool, job);
    } else {
      LogScope scope(Of(request));
      post(pool, job);
    }
    return seen.get_future().get();
  };
  EXPECT_EQ(run_under("a"), "a");
  EXPECT_EQ(run_under("b"), "b");
  EXPECT_EQ(run_under(""), "") << "the thread has nothing left of the job before";
}

TEST(LogContextTest, WorkersRunAJobInTheContextOfWhoPostedIt) {
  WorkerPool pool("test", 1);
  ExpectToCarryTheContext(pool, [](WorkerPool& to, auto job) { to.Post(job); });
}

TEST(LogContextTest, AFairPoolDoesToo) {
  FairPool pool("test", {.threads = 1, .most_for_one = 1});
  ExpectToCarryTheContext(pool, [](FairPool& to, auto job) { to.Post("party", job); });
}

TEST(RequestIdTest, NewOnesAreWellFormedAndDiffer) {
  std::set<std::string> ids;
  for (int i = 0; i < 100; ++i) ids.insert(NewRequestId());
  EXPECT_EQ(ids.size(), 100U);
  for (const std::string& id : ids) EXPECT_TRUE(IsRequestId(id)) << id;
}

TEST(RequestIdTest, OnlyWhatLooksAsOneIsTakenFromACaller) {
  EXPECT_EQ(ContextOfRequest("0123456789abcdef").request(), "0123456789abcdef");
  for (const char* bad : {"", "0123456789abcde", "0123456789abcdef0", "0123456789ABCDEF",
                          "0123456789abcde\n", "../../../../etc/"}) {
    std::string made(ContextOfRequest(bad).request());
    EXPECT_NE(made, bad);
  }
}

}  // namespace
}  // namespace weighhouse
