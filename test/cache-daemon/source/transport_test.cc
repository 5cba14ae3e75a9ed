#include "cache-daemon/source/transport.h"

#include <atomic>
#include <future>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/cache-daemon/source/recording_sink.h"
#include "test/cache-daemon/source/scripted_server.h"
#include "test/support/loopback_policy.h"
#include "test/support/temporary_directory.h"

namespace weighhouse::source {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;
using Reply = ScriptedServer::Reply;
using Request = ScriptedServer::Request;

std::unique_ptr<Transport> MakeTransport(TransportOptions options = {}) {
  options.policy = LoopbackPolicy();
  auto transport = CreateTransport(std::move(options));
  EXPECT_TRUE(transport) << transport.error().message;
  return std::move(transport).value();
}

/// A 206 that brings `body` as bytes `begin`… of a file of 1000.
std::string Partial(Bytes begin, const std::string& body) {
  std::string range =
      fmt::format("Content-Range: bytes {}-{}/1000", begin, begin + body.size() - 1);
  return HttpAnswer(206, {range}, body);
}

/// The end of asking a server, which gives `reply`, for bytes 10 to 20.
TransferEnd EndOf(const Reply& reply, RecordingSink& sink, FileLocation location = {},
                  std::chrono::milliseconds stall_timeout = kTestPatience) {
  ScriptedServer server([&](const Request&) { return reply; });
  auto transport = MakeTransport({.stall_timeout = stall_timeout});
  location.url = server.Url(location.url.empty() ? "/file" : location.url);
  return Bring(*transport, location, ByteRange{10, 20}, sink);
}

Code CodeOf(const Reply& reply) {
  RecordingSink sink;
  TransferEnd end = EndOf(reply, sink);
  EXPECT_FALSE(end.status);
  return end.status ? Code{} : end.status.error().code;
}

TEST(TransportTest, BringsAWholeFileWithoutARangeHeader) {
  ScriptedServer server([](const Request&) { return Reply{HttpAnswer(200, {}, "weights")}; });
  auto transport = MakeTransport();
  RecordingSink sink;
  TransferEnd end = Bring(*transport, {.url = server.Url("/f")}, std::nullopt, sink);
  EXPECT_TRUE(end.status);
  EXPECT_EQ(end.http_status, 200);
  EXPECT_EQ(sink.bytes(), "weights");
  EXPECT_THAT(server.Requests()[0].head, Not(HasSubstr("Range:")));
}

TEST(TransportTest, AsksForTheRangeUnencodedAndSendsTheLocationsHeaders) {
  ScriptedServer server([](const Request&) { return Reply{Partial(10, "0123456789")}; });
  auto transport = MakeTransport();
  RecordingSink sink;
  TransferEnd end = Bring(*transport, {.url = server.Url("/f"), .headers = {"X-Own: 1"}},
                          ByteRange{10, 20}, sink);
  EXPECT_TRUE(end.status);
  EXPECT_EQ(end.http_status, 206);
  EXPECT_EQ(sink.bytes(), "0123456789");
  std::string head = server.Requests()[0].head;
  EXPECT_THAT(head, HasSubstr("Range: bytes=10-19\r\n"));
  EXPECT_THAT(head, HasSubstr("Accept-Encoding: identity"));
  EXPECT_THAT(head, HasSubstr("User-Agent: weighhouse/"));
  EXPECT_THAT(head, HasSubstr("X-Own: 1"));
}

TEST(TransportTest, EndsAnEmptyRangeWithoutAsking) {
  auto transport = MakeTransport();
  RecordingSink sink;
  EXPECT_TRUE(Bring(*transport, {.url = "http://127.0.0.1:1/"}, ByteRange{5, 5}, sink).status);
}

TEST(TransportTest, NeverCallsTheSinkFromStart) {
  auto transport = MakeTransport();
  RecordingSink sink;
  bool ended_in_start = true;
  RunOnLoop(*transport, [&] {
    transport->Start({.url = "file:///nowhere"}, std::nullopt, sink);
    ended_in_start = sink.ended();
  });
  EXPECT_FALSE(ended_in_start);
  EXPECT_EQ(sink.WaitForEnd().status.error().code, Code::kNotFound);
}

TEST(TransportTest, KeepsConnectionsForTheNextTransfer) {
  ScriptedServer server([](const Request&) { return Reply{Partial(10, "0123456789")}; });
  auto transport = MakeTransport();
  for (int i = 0; i < 3; ++i) {
    RecordingSink sink;
    EXPECT_TRUE(Bring(*transport, {.url = server.Url("/f")}, ByteRange{10, 20}, sink).status);
  }
  for (const Request& request : server.Requests()) EXPECT_EQ(request.connection, 0);
}

TEST(TransportTest, SaysThatRangeWasIgnoredBeforeAnyByte) {
  RecordingSink sink;
  TransferEnd end = EndOf({HttpAnswer(200, {}, std::string(1000, 'x'))}, sink);
  ASSERT_FALSE(end.status);
  EXPECT_EQ(end.status.error().code, Code::kUnimplemented);
  EXPECT_EQ(end.http_status, 200);
  EXPECT_EQ(sink.bytes(), "");
}

TEST(TransportTest, RefusesOtherBytesThanPromisedBeforeAnyByte) {
  for (const std::string& answer :
       {Partial(11, "0123456789"), Partial(10, "01234567890"), HttpAnswer(206, {}, "0123456789"),
        HttpAnswer(206, {"Content-Range: bytes 10-19/1000", "Content-Encoding: gzip"},
                   "0123456789"),
        HttpAnswer(206, {"Content-Range: bytes 10-19/1000"}, "012345678")}) {
    RecordingSink sink;
    TransferEnd end = EndOf({answer}, sink);
    ASSERT_FALSE(end.status);
    EXPECT_EQ(end.status.error().code, Code::kOutOfRange);
    EXPECT_EQ(sink.bytes(), "");
  }
}

TEST(TransportTest, StopsAtOnceWhenMoreBytesComeThanPromised) {
  RecordingSink sink;
  TransferEnd end =
      EndOf({"HTTP/1.1 206 P\r\nContent-Range: bytes 10-19/1000\r\nTransfer-Encoding: "
             "chunked\r\n\r\n6\r\n012345\r\n6\r\n6789ab\r\n",
             Reply::Then::kHold},
            sink);
  ASSERT_FALSE(end.status);
  EXPECT_EQ(end.status.error().code, Code::kOutOfRange);
  EXPECT_THAT(sink.bytes(), testing::SizeIs(testing::Le(10)));
}

TEST(TransportTest, CallsACutConnectionTemporary) {
  std::string whole = Partial(10, "0123456789");
  RecordingSink sink;
  TransferEnd end = EndOf({whole.substr(0, whole.size() - 3), Reply::Then::kClose}, sink);
  ASSERT_FALSE(end.status);
  EXPECT_EQ(end.status.error().code, Code::kUnavailable);
  EXPECT_THAT(end.status.error().message, HasSubstr("cut after 7 of 10 bytes"));
  EXPECT_THAT(end.status.error().message, HasSubstr("127.0.0.1:"));
  EXPECT_EQ(sink.bytes(), "0123456");
}

TEST(TransportTest, CallsAChunkedAnswerThatEndsEarlyTemporary) {
  EXPECT_EQ(CodeOf({"HTTP/1.1 206 P\r\nContent-Range: bytes 10-19/1000\r\nTransfer-Encoding: "
                    "chunked\r\n\r\n3\r\n012\r\n0\r\n\r\n"}),
            Code::kUnavailable);
}

TEST(TransportTest, CallsServersThatSayNothingUsefulTemporary) {
  EXPECT_EQ(CodeOf({"", Reply::Then::kClose}), Code::kUnavailable);
  EXPECT_EQ(CodeOf({"SSH-2.0-OpenSSH\r\n", Reply::Then::kClose}), Code::kUnavailable);
  EXPECT_EQ(CodeOf({"HTTP/1.1 206 P\r\nX: " + std::string(90'000, 'a') + "\r\n\r\n"}),
            Code::kUnavailable);
}

TEST(TransportTest, HandsNoErrorBodyToTheSink) {
  RecordingSink sink;
  TransferEnd end = EndOf({HttpAnswer(403, {}, "Request has\x1b expired")}, sink);
  ASSERT_FALSE(end.status);
  EXPECT_EQ(end.status.error().code, Code::kPermissionDenied);
  EXPECT_EQ(end.http_status, 403);
  EXPECT_THAT(end.status.error().message, HasSubstr("Request has? expired"));
  EXPECT_EQ(sink.bytes(), "");
}

TEST(TransportTest, CutsLongErrorBodies) {
  RecordingSink sink;
  TransferEnd end =
      EndOf({"HTTP/1.1 500 X\r\nContent-Length: 100000000\r\n\r\n" + std::string(100'000, 'e'),
             Reply::Then::kHold},
            sink);
  ASSERT_FALSE(end.status);
  EXPECT_EQ(end.status.error().code, Code::kUnavailable);
  EXPECT_LT(end.status.error().message.size(), 1000U);
}

TEST(TransportTest, GivesStatusesTheirClass) {
  EXPECT_EQ(CodeOf({HttpAnswer(401, {}, "")}), Code::kUnauthenticated);
  EXPECT_EQ(CodeOf({HttpAnswer(404, {}, "")}), Code::kNotFound);
  EXPECT_EQ(CodeOf({HttpAnswer(416, {"Content-Range: bytes */5"}, "")}), Code::kOutOfRange);
  EXPECT_EQ(CodeOf({HttpAnswer(503, {}, "")}), Code::kUnavailable);
}

TEST(TransportTest, FollowsNoRedirect) {
  EXPECT_EQ(CodeOf({HttpAnswer(302, {"Location: http://127.0.0.1:1/"}, "")}), Code::kUnavailable);
}

TEST(TransportTest, PassesOnHowLongToWait) {
  RecordingSink sink;
  EXPECT_EQ(EndOf({HttpAnswer(429, {"Retry-After: 3"}, "")}, sink).status.error().retry_after, 3s);
}

TEST(TransportTest, KeepsSecretsOutOfMessages) {
  FileLocation location{.url = "/f?X-Amz-Signature=canary-signature&x=1",
                        .headers = {"Authorization: Bearer canary-token"}};
  for (const char* body :
       {"you sent canary-token", "<StringToSign>canary-signature</StringToSign>"}) {
    RecordingSink sink;
    TransferEnd end = EndOf({HttpAnswer(403, {}, body)}, sink, location);
    ASSERT_FALSE(end.status);
    EXPECT_THAT(end.status.error().message, Not(HasSubstr("canary")));
  }
}

TEST(TransportTest, EndsAStalledTransfer) {
  RecordingSink sink;
  std::string whole = Partial(10, "0123456789");
  TransferEnd end = EndOf({whole.substr(0, whole.size() - 5), Reply::Then::kHold}, sink, {}, 1s);
  ASSERT_FALSE(end.status);
  EXPECT_EQ(end.status.error().code, Code::kUnavailable);
  EXPECT_THAT(end.status.error().message, HasSubstr("nothing came for 1.0 s, after 5 bytes"));
}

TEST(TransportTest, NamesAServerThatCantBeReached) {
  auto transport = MakeTransport();
  RecordingSink sink;
  TransferEnd end = Bring(*transport, {.url = "http://127.0.0.1:1/f"}, std::nullopt, sink);
  ASSERT_FALSE(end.status);
  EXPECT_EQ(end.status.error().code, Code::kUnavailable);
  EXPECT_EQ(end.http_status, 0);
  EXPECT_THAT(end.status.error().message, HasSubstr("127.0.0.1:1: can't connect"));
}

TEST(TransportTest, RefusesSchemesOtherThanHttpAndFile) {
  auto transport = MakeTransport();
  RecordingSink sink;
  EXPECT_EQ(Bring(*transport, {.url = "ftp://127.0.0.1/f"}, std::nullopt, sink).status.error().code,
            Code::kInvalidArgument);
}

TEST(CreateTransportTest, RefusesCertificateAuthoritiesThatCantBeRead) {
  auto transport = CreateTransport({.ca_file = "/nowhere.pem"});
  ASSERT_FALSE(transport);
  EXPECT_EQ(transport.error().code, Code::kFailedPrecondition);
}

}  // namespace
}  // namespace weighhouse::source
