"""The servers of the tests are what the tests take them for."""

import os

import pytest
from botocore.exceptions import ClientError

from s3.servers import Server


def status_of_second_insertion(server: Server, bucket: str) -> int:
    client = server.client()
    client.create_bucket(Bucket=bucket)
    client.put_object(Bucket=bucket, Key="a", Body=b"1", IfNoneMatch="*")
    try:
        client.put_object(Bucket=bucket, Key="a", Body=b"2", IfNoneMatch="*")
    except ClientError as error:
        return int(error.response["ResponseMetadata"]["HTTPStatusCode"])
    return 200


def test_a_server_that_supports_conditions_refuses_a_second_insertion(server: Server, bucket: str) -> None:
    assert status_of_second_insertion(server, bucket) == 412


def test_rclone_ignores_conditions(rclone: Server, bucket: str) -> None:
    assert status_of_second_insertion(rclone, bucket) == 200


def test_no_real_credentials_can_be_found() -> None:
    assert os.environ["AWS_ACCESS_KEY_ID"] == "test"
    assert not os.path.exists(os.environ["AWS_SHARED_CREDENTIALS_FILE"])
    assert not os.path.exists(os.environ["AWS_CONFIG_FILE"])
    assert "AWS_PROFILE" not in os.environ


@pytest.mark.usefixtures("moto_in_process")
def test_moto_in_process_starts_empty() -> None:
    import boto3

    assert boto3.client("s3").list_buckets()["Buckets"] == []
